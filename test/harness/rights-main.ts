/**
 * A server whose rights a test changes. It runs an act for each message and answers with the
 * result. The act `register` creates its guard.
 */

import { readdirSync, readFileSync, readlinkSync, writeSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createGuard, type Guard, type Scope } from 'fastify-subprocess-guard'
import koffi from 'koffi'
import { grace } from './served.js'

const nobody = 65_534
/** The descriptor of the channel to the test. */
const messages = 3
const options = JSON.parse(process.env.GUARD_OPTIONS ?? '{}')
const programs = new URL('../../../test/programs/', import.meta.url)
const said: string[] = []
const scopes = new Map<string, Scope>()
let guard: Guard

const changes: Record<string, () => void> = {
  user() {
    process.setgroups?.([])
    process.setgid?.(nobody)
    process.setuid?.(nobody)
  },
  'effective user': () => process.seteuid?.(nobody),
  groups: () => process.setgroups?.([nobody]),
  group: () => process.setgid?.(nobody),
  /** Drops CAP_NET_RAW from the bounding set (prctl(2), PR_CAPBSET_DROP). */
  capabilities() {
    const prctl = koffi
      .load(null)
      .func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)')
    if (prctl(24, 13, 0, 0, 0) !== 0) throw new Error('the capability cannot be dropped')
  }
}

/** The ways to start a command. Each resolves with its output. */
const ways: Record<string, (scope: Scope, script: string) => Promise<string>> = {
  spawn: (scope, script) => text(scope.spawn('sh', ['-c', script]).stdout),
  exec: async (scope, script) => (await scope.exec(script)).stdout,
  execFile: async (scope, script) => (await scope.execFile('sh', ['-c', script])).stdout,
  stream: (scope, script) => text(scope.stream('sh', ['-c', script])),
  'no shell': async (scope, line) => {
    const [file = '', ...args] = line.split(' ')
    return (await scope.execFile(file, args)).stdout
  },
  'direct launch': (scope, script) =>
    text(scope.spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore', 'ignore'] }).stdout as never)
}

const acts: Record<string, (...args: never[]) => unknown> = {
  async register() {
    const hear = (_: object, message: string): void => void said.push(message)
    guard = await createGuard({
      grace,
      timeout: false,
      logger: { info() {}, warn: hear, error: hear },
      ...options
    })
    return guard.keeper
  },
  listen: () => new Promise<void>((resolve) => createServer().listen(0, '127.0.0.1', resolve)),
  change: (what: string) => changes[what]?.(),
  keeper: () => guard.keeper,
  said: () => said,
  open: (name: string) => void scopes.set(name, guard.open()),
  /** Starts a program that goes on running. Resolves with its pid. */
  start(name: string, program: string) {
    const path = fileURLToPath(new URL(program, programs))
    const child = scopeOf(name).spawn('sh', [path], { stdio: 'ignore' })
    return new Promise((resolve) => child.once('spawn', () => resolve(child.pid)))
  },
  list: async (name: string) => (await scopeOf(name).list()).map(({ pid }) => pid),
  run: (name: string, way: string, script: string) => ways[way]?.(scopeOf(name), script),
  /**
   * The rights change after the order, before the keeper can have read it; or, with
   * `turns`, that many turns of the loop later.
   */
  async 'run and change'(name: string, way: string, script: string, turns: number) {
    const output = ways[way]?.(scopeOf(name), script)
    for (let i = 0; i < turns; i++) await turn()
    changes.user?.()
    return output
  },
  'temporary folder': (name: string) => scopeOf(name).tempDir(),
  async close(name: string) {
    const { processes, leftFolders } = await scopeOf(name).close()
    return { ended: processes.map(({ ended }) => ended), leftFolders }
  },
  /** The close reasons of all scopes that are closed or closing. */
  reasons: () => [...scopes.values()].flatMap(({ reason }) => reason ?? []),
  end: () => guard.close(),
  attack
}

function scopeOf(name: string): Scope {
  return scopes.get(name) as Scope
}

/** The numbers of all descriptors that are sockets. */
function sockets(): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((descriptor) => {
      try {
        return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith('socket:')
      } catch {
        // The descriptor of the directory that is being listed.
        return false
      }
    })
}

/**
 * Acts as code that has taken over the worker: writes orders to every socket of
 * the process, and to the sockets of keepers.
 */
async function attack(orders: string): Promise<void> {
  for (const descriptor of sockets()) {
    // The channel to the test.
    if (descriptor <= messages) continue
    try {
      writeSync(descriptor, orders)
    } catch {
      // Not writable.
    }
  }
  const paths = readFileSync('/proc/net/unix', 'utf8').match(/\/\S+\/stdio$/gm) ?? []
  for (const path of paths.filter((one) => one.startsWith(process.env.TMPDIR as string))) {
    const socket = connect(path)
    socket.on('error', () => {})
    socket.end(orders)
    await new Promise((resolve) => socket.once('close', resolve))
  }
}

process.on('message', async ({ id, act, args }: { id: number; act: string; args: never[] }) => {
  try {
    const result = await acts[act]?.(...args)
    process.send?.({ id, result: result ?? null })
  } catch (error) {
    process.send?.({ id, error: (error as Error).stack })
  }
})
