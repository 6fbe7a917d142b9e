/** The demo: three scenes on a server without and with the guard, and what each leaves behind. */

import { randomUUID } from 'node:crypto'
import { constants } from 'node:os'
import { amountOf, memoryOf, say, sayScene, saySummary } from './print.js'
import { hasProc, killMarked, pidsOf, rowsOf } from './processes.js'
import { rehearse } from './program.js'
import { listen } from './reporting-processes.js'
import { play, type SceneResult } from './run.js'
import { Server } from './server.js'
import { goneWithinMs, graceMs } from './settings.js'

interface Run {
  readonly name: string
  readonly scenes: readonly SceneResult[]
}

// Long enough for the program to begin on a slow machine, and short enough for the audience on others.
const shortestTimeoutMs = 1_500
const longestTimeoutMs = 30_000

const demoMark = randomUUID()
const servers: Server[] = []

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    cleanUp()
    process.exit(128 + constants.signals[signal])
  })
}

try {
  process.exitCode = await demo()
} catch (error) {
  say(`\nThe demo could not run: ${(error as Error).message}`, 'red')
  process.exitCode = 1
} finally {
  cleanUp()
}

/** Returns the exit status. */
async function demo(): Promise<number> {
  if (!hasProc) listen()
  const { program, startMs } = await rehearse(`${demoMark}.0`)
  const timeoutMs = Math.max(shortestTimeoutMs, Math.min(Math.ceil(startMs) * 4, longestTimeoutMs))
  say(`Each request starts ${program.description}.`)
  say(
    `Deadline ${timeoutMs} ms. "After" is when no process of the request is alive, at most ${goneWithinMs} ms after its end.`
  )

  say('\nWITHOUT GUARD  child_process.spawn; child.kill() at the deadline and when the client leaves', 'bold')
  const without = await run('without guard', new Server({ isGuarded: false, timeoutMs, program }))
  const left = pidsOf(demoMark).length
  if (killMarked(demoMark) > 0) throw new Error('some processes of the run without guard could not be ended')
  say(`\n  The demo itself has now ended the ${left} leftover processes.`)

  say(`\nWITH GUARD  fastify-subprocess-guard; request.spawn(), grace ${graceMs} ms`, 'bold')
  const guarded = await run('with guard', new Server({ isGuarded: true, timeoutMs, program }))

  say()
  saySummary([without, guarded])
  const isClean = leftBy(guarded).length === 0
  const [lost, kept] = [without, guarded].map(verdictOn)
  say(`\nVERDICT  without guard: ${lost}; with guard: ${kept}.`, isClean ? 'bold' : 'red')
  return isClean ? 0 : 1
}

async function run(name: string, server: Server): Promise<Run> {
  servers.push(server)
  await server.ready()
  if (server.keeper !== undefined) {
    const rows = rowsOf([server.keeper])
    // Without /proc, only the processes of the program tell their memory.
    const memory = rows.length === 0 ? '' : `${memoryOf(rows)}, `
    const facts = `PID ${server.keeper}, ${memory}containment "${server.containment}"`
    say(`  the keeper, one for each worker: ${facts}; scene 3 counts it, too`)
  }
  const scenes: SceneResult[] = []
  for await (const scene of play(server, `${demoMark}.${servers.length}`)) {
    scenes.push(scene)
    sayScene(scenes.length, scene)
  }
  return { name, scenes }
}

function leftBy({ scenes }: Run) {
  return scenes.flatMap(({ after }) => after)
}

function verdictOn(run: Run): string {
  const left = leftBy(run)
  return left.length === 0 ? 'none' : `${amountOf(left)} left behind`
}

/** Ends the workers and all processes with the mark of this demo. The keeper ends by itself. */
function cleanUp(): void {
  for (const server of servers) void server.kill()
  killMarked(demoMark)
}
