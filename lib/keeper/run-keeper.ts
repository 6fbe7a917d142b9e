/** Runs the keeper process: connects its parts, and ends everything when the worker is gone. */

import { Socket } from 'node:net'
import { loadContainers, platform } from '../platform/current.js'
import { workerCgroupName } from '../wire/cgroup-names.js'
import { watchConnection } from '../wire/connection-header.js'
import { Decoder, encode } from '../wire/framing.js'
import { keeperMarkName, noNewPrivilegesName } from '../wire/mark.js'
import type { KeeperMessage, WorkerMessage } from '../wire/messages.js'
import { freeMemory } from './free-memory.js'
import { Keeper } from './keeper.js'
import { KeeperLog } from './keeper-log.js'
import { startByChildProcess } from './start-by-child-process.js'
import { startByPosixSpawn } from './start-by-posix-spawn.js'
import { StdioServer } from './stdio-server.js'
import { surviveSignals } from './survive-signals.js'
import { WorkerRights } from './worker-rights.js'
import { WorkerSupervisor } from './worker-supervisor.js'

// The socket to the worker. Its end is the worker's end, however the worker dies.
const linkDescriptor = 3

// The keeper ends when its socket ends, after it has ended everything else.
surviveSignals()

const link = new Socket({ fd: linkDescriptor })
const worker = process.ppid
const workerGone = new Promise<void>((resolve) => link.once('close', () => resolve()))
const log = new KeeperLog(worker)
const containers = await loadContainers()
containers?.serve?.(worker)
const { native, adoptsOrphans: isSubreaper, why } = await platform.adoptOrphans()
if (process.env[noNewPrivilegesName] === '1') await orFail(() => platform.denyPrivileges?.(native))
const whyNotBest = containers === undefined ? why : containers.why
const workerMark = process.env[keeperMarkName] as string
const stdioServer = await orFail(() => StdioServer.open(workerMark, onConnection, () => keeper.status()))
// Node does not reap what posix_spawn(3) starts. The census of a subreaper does.
const posixSpawn = isSubreaper ? native?.posixSpawn : undefined
const cgroup = openWorkerCgroup()
const isWorkerGone = (): boolean => platform.isParentGone(worker)
const rights = new WorkerRights(worker, isWorkerGone, () => {
  supervisor.retire()
  send({ type: 'retired' })
})
const keeper = new Keeper({
  native,
  isSubreaper,
  cgroup: cgroup.folder,
  containers,
  worker,
  workerMark,
  stdioServer,
  startProcess:
    native === undefined || posixSpawn === undefined
      ? startByChildProcess
      : startByPosixSpawn(posixSpawn, native.inNewGroup),
  isWorkerGone,
  send,
  logStrays: (processes) => log.logStrays(processes)
})
const supervisor = new WorkerSupervisor({
  entry: process.argv[1] as string,
  rights,
  worker,
  keeper,
  native,
  containers,
  isWorkerGone,
  workerGone,
  send,
  logHungWorker: (info, report) => log.logHungWorker(info, report),
  logHookFailure: (failure) => log.logHookFailure(failure)
})
const decoder = new Decoder<WorkerMessage>()

link.on('data', (bytes) => {
  rights.invalidate()
  for (const message of decoder.decode(bytes)) {
    if (!rights.allows(message)) {
      keeper.refuse(message)
      continue
    }
    supervisor.receive(message)
    keeper.receive(message)
  }
})
// A write to a worker that is gone fails, and 'close' follows.
link.on('error', () => {})
void workerGone.then(() => shutDown(`worker ${worker} is gone`, 0))
// Whatever goes wrong in the keeper, it leaves no process behind.
process.on('uncaughtException', (error) => void shutDown(`keeper failed: ${error.stack}`, 1))
freeMemory(native)
send({
  type: 'ready',
  containment: keeper.census.containment,
  why: cgroup.folder === undefined ? (whyNotBest ?? cgroup.why) : undefined,
  cgroup: cgroup.folder,
  path: stdioServer.path,
  secret: stdioServer.secret,
  makesPipes: containers?.makePrivatePipe !== undefined
})

function send(message: KeeperMessage): void {
  if (link.writable) link.write(encode(message))
}

function onConnection(connection: number): void {
  if (connection !== watchConnection) keeper.connectionArrived(connection)
  else supervisor.stackSampler.attach(stdioServer.take(connection) as Socket)
}

/** The directory of the cgroup of the worker, or why there is none. */
function openWorkerCgroup(): { readonly folder?: string | undefined; readonly why?: string } {
  const starter = posixSpawn === undefined ? undefined : native
  try {
    return { folder: platform.cgroups?.makeWorkerCgroup(workerCgroupName(workerMark), starter) }
  } catch (error) {
    return { why: (error as Error).message }
  }
}

/** On failure, sends the reason to the worker and exits. */
async function orFail<Part>(open: () => Part): Promise<Awaited<Part>> {
  try {
    return await open()
  } catch (error) {
    const message = encode({ type: 'start-failed', why: (error as Error).message })
    await new Promise((resolve) => link.write(message, resolve))
    process.exit(1)
  }
}

let isShuttingDown = false

/** Ends everything, logs it, runs the exit hooks, and exits. */
async function shutDown(cause: string, exitCode: number): Promise<void> {
  if (isShuttingDown) return
  isShuttingDown = true
  const startedAt = performance.now()
  supervisor.stop()
  const info = attempt(() => (keeper.isDismissed ? undefined : supervisor.exitInfo))
  // Whatever fails here, this process must exit.
  let failure = ''
  const report = await keeper.endAll('worker-gone').catch((error: Error) => {
    failure = `; ending the processes failed: ${error.stack}`
    return { processes: [], leftFolders: [] }
  })
  stdioServer.close()
  const hasNews = report.processes.length > 0 || report.leftFolders.length > 0 || failure !== ''
  if (hasNews || exitCode !== 0) await log.logEnd(cause + failure, report, performance.now() - startedAt)
  if (info !== undefined) {
    await supervisor.runExitHooks(info)
    // The leftovers of the hooks.
    await keeper.endAll('worker-gone').catch(() => {})
  }
  attempt(() => keeper.close())
  if (log.isStuck) process.kill(process.pid, 'SIGKILL')
  process.exit(exitCode)
}

/** A failure must not prevent the rest of the shutdown. */
function attempt<Result>(act: () => Result): Result | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
