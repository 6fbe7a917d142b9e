/** Entry of the keeper process. Descriptor 3 is the socket to the worker; its end is the worker's end. */

import { Socket } from 'node:net'
import { folderTagOf, keeperMarkName } from '../mark.js'
import { type Libc, loadLibc } from '../platform/libc.js'
import { canListChildren } from '../platform/linux.js'
import { collectGarbage } from './garbage.js'
import { Keeper } from './keeper.js'
import { Lines } from './lines.js'
import { Oversight } from './oversight.js'
import { Decoder, encode, type KeeperMessage, type WorkerMessage, watchConnection } from './protocol.js'
import { startByNode } from './start-by-node.js'
import { startBy } from './start-by-posix.js'
import { StdioDoor } from './stdio-door.js'

const linkDescriptor = 3

// A terminal or a supervisor sends these to the whole tree, keeper and worker alike. The keeper's own end is
// the end of its socket, after it has ended everything else.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

const link = new Socket({ fd: linkDescriptor })
const worker = process.ppid
const gone = new Promise<void>((resolve) => link.once('close', () => resolve()))
const lines = new Lines(worker)
const { libc, isSubreaper, why } = await contain()
const workerMark = process.env[keeperMarkName] as string
const door = await openDoor()
// The kernel gives an orphan another parent.
const isWorkerGone = (): boolean => process.ppid !== worker
const keeper = new Keeper({
  libc,
  isSubreaper,
  worker,
  workerMark,
  door,
  // What is not Node's to collect, a subreaper does.
  start: isSubreaper && libc?.posixSpawn !== undefined ? startBy(libc.posixSpawn) : startByNode,
  isWorkerGone,
  send,
  sayStrays: (processes) => lines.strays(processes)
})
const oversight = new Oversight({
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
  for (const message of decoder.decode(bytes)) {
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

function send(message: KeeperMessage): void {
  if (link.writable) link.write(encode(message))
}

/** A connection has come. */
function arrive(connection: number): void {
  if (connection !== watchConnection) keeper.connectionArrived(connection)
  else oversight.watchLine.attach(door.take(connection) as Socket)
}

/** Without a door no command has streams: the worker is told why, and need not look for it on standard error. */
async function openDoor(): Promise<StdioDoor> {
  try {
    return await StdioDoor.open(folderTagOf(workerMark), arrive, () => keeper.status())
  } catch (error) {
    const message = encode({ type: 'unready', why: (error as Error).message })
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
  const report = await keeper.endAll('worker-gone').catch(() => ({ processes: [], leftFolders: [] }))
  // Where its folder cannot be removed, the next keeper's sweep tries again.
  attempt(() => door.close())
  const hasNews = report.processes.length > 0 || report.leftFolders.length > 0
  if (hasNews || status !== 0) await lines.ended(cause, report, performance.now() - startedAt)
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
