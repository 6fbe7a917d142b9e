/** The keeper process. Descriptor 3 is the socket to the worker; its end is the worker's end. */

import { Socket } from 'node:net'
import { constants } from 'node:os'
import { canListChildren, type Libc, loadLibc } from '../platform/current.js'
import { watchConnection } from '../wire/connection-header.js'
import { Decoder, encode } from '../wire/framing.js'
import { keeperMarkName } from '../wire/mark.js'
import type { KeeperMessage, WorkerMessage } from '../wire/messages.js'
import { collectGarbage } from './free-memory.js'
import { Keeper } from './keeper.js'
import { KeeperLog } from './keeper-log.js'
import { startByNode } from './start-by-child-process.js'
import { startBy } from './start-by-posix-spawn.js'
import { StdioServer } from './stdio-server.js'
import { WorkerRights } from './worker-rights.js'
import { WorkerSupervisor } from './worker-supervisor.js'

const linkDescriptor = 3

// A terminal, a supervisor or a tool such as nodemon sends signals to the whole tree, keeper and worker alike. The keeper's own end
// is the end of its socket, after it has ended everything else. Caught and not ignored: what it starts would ignore them, too.
for (const signal of borneSignals()) process.on(signal, () => {})

const link = new Socket({ fd: linkDescriptor })
const worker = process.ppid
const gone = new Promise<void>((resolve) => link.once('close', () => resolve()))
const lines = new KeeperLog(worker)
const { libc, isSubreaper, why } = await contain()
const workerMark = process.env[keeperMarkName] as string
const door = await openDoor()
// The kernel gives an orphan another parent.
const isWorkerGone = (): boolean => process.ppid !== worker
const mandate = new WorkerRights(worker, isWorkerGone, () => {
  oversight.retire()
  send({ type: 'retired' })
})
const keeper = new Keeper({
  libc,
  isSubreaper,
  worker,
  workerMark,
  door,
  // What is not Node's to collect, a subreaper does.
  start:
    isSubreaper && libc?.posixSpawn !== undefined ? startBy(libc.posixSpawn, libc.inNewGroup) : startByNode,
  isWorkerGone,
  send,
  sayStrays: (processes) => lines.strays(processes)
})
const oversight = new WorkerSupervisor({
  entry: process.argv[1] as string,
  mandate,
  worker,
  keeper,
  libc,
  isWorkerGone,
  gone,
  send,
  sayHung: (info, report) => lines.hung(info, report),
  sayHookFailed: (failure) => lines.hookFailed(failure)
})
const decoder = new Decoder<WorkerMessage>()

link.on('data', (bytes) => {
  mandate.askAgain()
  for (const message of decoder.decode(bytes)) {
    if (!mandate.covers(message)) {
      keeper.refuse(message)
      continue
    }
    oversight.heard(message)
    keeper.receive(message)
  }
})
// A write to a worker that is gone fails, and 'close' follows.
link.on('error', () => {})
void gone.then(() => leave(`worker ${worker} is gone`, 0))
// Whatever is wrong with the keeper, nothing is left behind.
process.on('uncaughtException', (error) => void leave(`keeper failed: ${error.stack}`, 1))
collectGarbage(libc)
send({
  type: 'ready',
  containment: keeper.census.containment,
  ...(why === undefined ? {} : { why }),
  path: door.path,
  secret: door.secret
})

/** Every signal that would end or stop this process, but those that cannot be caught, or that a fault of its own raises (signal(7)). */
function borneSignals(): NodeJS.Signals[] {
  // Node opens its inspector on SIGUSR1.
  const harmless = ['SIGCHLD', 'SIGCONT', 'SIGPIPE', 'SIGURG', 'SIGUSR1', 'SIGWINCH', 'SIGXFSZ']
  const faults = [
    'SIGABRT',
    'SIGBUS',
    'SIGFPE',
    'SIGILL',
    'SIGIOT',
    'SIGSEGV',
    'SIGSYS',
    'SIGTRAP',
    'SIGUNUSED'
  ]
  const others = new Set([...harmless, ...faults, 'SIGKILL', 'SIGSTOP'])
  return (Object.keys(constants.signals) as NodeJS.Signals[]).filter((signal) => !others.has(signal))
}

function send(message: KeeperMessage): void {
  if (link.writable) link.write(encode(message))
}

/** A connection has come. */
function arrive(connection: number): void {
  if (connection !== watchConnection) keeper.connectionArrived(connection)
  else oversight.watchLine.attach(door.take(connection) as Socket)
}

/** Without a door no command has streams: the worker is told why, and need not look for it on standard error. */
async function openDoor(): Promise<StdioServer> {
  try {
    return await StdioServer.open(workerMark, arrive, () => keeper.status())
  } catch (error) {
    const message = encode({ type: 'start-failed', why: (error as Error).message })
    await new Promise((resolve) => link.write(message, resolve))
    process.exit(1)
  }
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
  oversight.stop()
  const info = attempt(() => (keeper.isDismissed ? undefined : oversight.infoOfExit))
  // Whatever fails here, this process ends: nobody is served by one that hangs.
  let failure = ''
  const report = await keeper.endAll('worker-gone').catch((error: Error) => {
    failure = `; what was left could not be ended: ${error.stack}`
    return { processes: [], leftFolders: [] }
  })
  door.close()
  const hasNews = report.processes.length > 0 || report.leftFolders.length > 0 || failure !== ''
  if (hasNews || status !== 0) await lines.ended(cause + failure, report, performance.now() - startedAt)
  if (info !== undefined) {
    await oversight.tellExit(info)
    // What the hooks have left.
    await keeper.endAll('worker-gone').catch(() => {})
  }
  if (lines.isStuck) process.kill(process.pid, 'SIGKILL')
  process.exit(status)
}

/** What fails at the end must not keep the rest from being done. */
function attempt<Result>(act: () => Result): Result | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
