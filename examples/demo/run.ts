/** Runs the three scenes on a server: in each, a request ends before its processes do. */

import { setTimeout as pause } from 'node:timers/promises'
import { isAlive, type ProcessRow, pidsOf, rowsOf } from './processes.js'
import { computingProcesses } from './program.js'
import type { Computing, Server } from './server.js'
import { goneWithinMs } from './settings.js'

/** The result of a scene. */
export interface SceneResult {
  readonly title: string
  /** How the request ended, as seen from outside. */
  readonly ended: string
  readonly before: readonly ProcessRow[]
  readonly after: readonly ProcessRow[]
  /** The time from that end until no process was alive, or until the time was up. */
  readonly afterMs: number
  readonly report: string | undefined
}

interface Scene {
  readonly title: string
  readonly path: string
  /** Ends the request. Resolves with a description of how it ended. */
  end(computing: Computing, server: Server): Promise<string>
}

const pollMs = 10

const scenes: readonly Scene[] = [
  {
    title: 'a request passes its deadline',
    path: '/primes',
    async end({ answered }) {
      return `the client got ${await answered}`
    }
  },
  {
    title: 'a client disconnects',
    path: '/report',
    async end({ request }) {
      request.destroy()
      return 'the client has closed its connection'
    }
  },
  {
    title: 'the worker is killed with SIGKILL',
    path: '/report',
    async end(_, server) {
      await server.kill()
      return `worker ${server.pid} is dead`
    }
  }
]

/** Plays the scenes one by one. The processes have the mark of the run. Leftover processes are not ended. */
export async function* play(server: Server, mark: string): AsyncGenerator<SceneResult> {
  for (const [number, scene] of scenes.entries()) yield await playOne(server, scene, `${mark}.${number + 1}`)
}

async function playOne(server: Server, scene: Scene, mark: string): Promise<SceneResult> {
  const computing = await server.compute(scene.path, mark)
  const before = rowsOf(pidsOf(mark))
  // Without living processes before its end, a scene would prove nothing.
  if (before.length <= computingProcesses) throw new Error(`only ${before.length} processes were found alive`)
  const ended = await scene.end(computing, server)
  const endedAt = performance.now()
  let left = stillAlive(server, mark)
  while (left.length > 0 && performance.now() - endedAt < goneWithinMs) {
    await pause(pollMs)
    left = stillAlive(server, mark)
  }
  const after = rowsOf(left)
  const afterMs = Math.round(performance.now() - endedAt)
  const report = server.settings.isGuarded ? await server.nextReport() : undefined
  return { title: scene.title, ended, before, after, afterMs, report }
}

/** The keeper counts, too: it must end after its worker. */
function stillAlive({ isDead, keeper }: Server, mark: string): number[] {
  const isKeeperLeft = isDead && keeper !== undefined && isAlive(keeper)
  return isKeeperLeft ? [...pidsOf(mark), keeper] : pidsOf(mark)
}
