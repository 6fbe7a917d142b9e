/** Entry of the keeper process. Descriptor 3 is the socket to the worker; its end is the worker's end. */

import { write } from 'node:fs'
import { Socket } from 'node:net'
import { keeperMarkName } from '../mark.js'
import { type Libc, loadLibc } from '../platform/libc.js'
import { canListChildren } from '../platform/linux.js'
import { Keeper } from './keeper.js'
import { Decoder, encode, type KeeperMessage, type KeeperReport, type WorkerMessage } from './protocol.js'
import { StdioDoor } from './stdio-door.js'

const linkDescriptor = 3
// The levels of pino, so that the line reads like the worker's own.
const warnLevel = 40
const errorLevel = 50
const mostProcessesNamed = 50
// The worker's standard error may be a pipe that nobody reads any more.
const lineWithinMs = 1_000

// A terminal or a supervisor sends these to the whole tree, keeper and worker alike. The keeper's own end is
// the end of its socket, after it has ended everything else.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

const link = new Socket({ fd: linkDescriptor })
const worker = process.ppid
const { libc, isSubreaper, why } = await contain()
const door = await StdioDoor.open(
  (connection) => keeper.connectionArrived(connection),
  () => keeper.status()
)
const workerMark = process.env[keeperMarkName] as string
const keeper = new Keeper({
  libc,
  isSubreaper,
  worker,
  workerMark,
  door,
  // The kernel gives an orphan another parent.
  isWorkerGone: () => process.ppid !== worker,
  send,
  sayStrays: (processes) => void say('processes that belong to no open scope', { processes, leftFolders: [] })
})
const decoder = new Decoder<WorkerMessage>()

link.on('data', (bytes) => {
  for (const message of decoder.decode(bytes)) keeper.receive(message)
})
// A write to a worker that is gone fails, and 'close' follows.
link.on('error', () => {})
link.once('close', () => void leave(`worker ${worker} is gone`, 0))
// Whatever is wrong with the keeper, nothing is left behind.
process.on('uncaughtException', (error) => void leave(`keeper failed: ${error.stack}`, 1))
// What the start has left on the heap is an eighth of all that an idle keeper has for itself.
globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
send({
  type: 'ready',
  containment: keeper.census.containment,
  ...(why === undefined ? {} : { why }),
  path: door.path,
  secret: door.secret
})
function send(message: KeeperMessage): void {
  if (link.writable) link.write(encode(message))
}

async function contain(): Promise<{ libc: Libc | undefined; isSubreaper: boolean; why?: string }> {
  const loaded = await loadLibc()
  if (loaded instanceof Error) {
    return { libc: undefined, isSubreaper: false, why: `koffi could not be loaded (${loaded.message})` }
  }
  if (!canListChildren()) {
    return { libc: loaded, isSubreaper: false, why: 'this kernel does not list the children of a process' }
  }
  if (!loaded.becomeSubreaper()) {
    return { libc: loaded, isSubreaper: false, why: 'this kernel refuses PR_SET_CHILD_SUBREAPER' }
  }
  return { libc: loaded, isSubreaper: true }
}

let isLeaving = false

async function leave(cause: string, status: number): Promise<void> {
  if (isLeaving) return
  isLeaving = true
  const startedAt = performance.now()
  // Whatever fails here, this process ends: nobody is served by one that hangs.
  const report = await keeper.endAll().catch(() => ({ processes: [], leftFolders: [] }))
  door.close()
  // Nobody may read the worker's standard error any more, and a full pipe would hold us for ever.
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), lineWithinMs)
  const hasNews = report.processes.length > 0 || report.leftFolders.length > 0
  if (hasNews || status !== 0) await say(cause, report, performance.now() - startedAt)
  process.exit(status)
}

/** Writes one line to the worker's standard error: there is no worker left whose log could have it. */
function say(cause: string, { processes, leftFolders }: KeeperReport, durationMs?: number): Promise<void> {
  const survivors = processes.filter(({ ended }) => ended === 'survived')
  const others = processes.filter(({ ended }) => ended !== 'survived')
  const line = {
    level: survivors.length > 0 || leftFolders.length > 0 ? errorLevel : warnLevel,
    time: Date.now(),
    pid: process.pid,
    name: 'fastify-subprocess-guard',
    worker,
    ...(durationMs === undefined ? {} : { durationMs: Math.round(durationMs) }),
    // Survivors first: they are what somebody has to look after.
    processes: [...survivors, ...others].slice(0, mostProcessesNamed),
    ...(leftFolders.length === 0 ? {} : { leftFolders }),
    msg: `${cause}: ended ${others.length} processes, ${survivors.length} survived`
  }
  return new Promise((resolve) => write(2, `${JSON.stringify(line)}\n`, () => resolve()))
}
