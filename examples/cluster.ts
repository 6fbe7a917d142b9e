/**
 * Four Fastify workers that share a port, and a primary that replaces workers that end.
 *
 * npm run --silent build && PORT=3000 WORKERS=4 node build/examples/cluster.js
 *
 * Each worker has its own keeper: when a worker dies, only its own subprocesses end.
 */

import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { serve, stop, stopWithinMs } from './serve.js'

const workerCount = Number(process.env.WORKERS ?? 4)
// A worker that ran for this long was healthy: the next one starts without a pause.
const healthyAfterMs = Number(process.env.SOUND_AFTER_MS ?? 5_000)
const shortestPauseMs = 100
const longestPauseMs = 10_000

if (cluster.isPrimary) keepWorkers()
else await work(cluster.worker as Worker)

function keepWorkers(): void {
  const startedAt = new Map<Worker, number>()
  let listening = 0
  let earlyDeaths = 0
  let isStopping = false

  function start(): void {
    if (!isStopping) startedAt.set(cluster.fork(), performance.now())
  }

  cluster.on('listening', () => {
    if (++listening === workerCount) console.log('listening')
  })

  cluster.on('exit', (worker, code, signal) => {
    const livedMs = performance.now() - (startedAt.get(worker) as number)
    startedAt.delete(worker)
    if (isStopping) return
    earlyDeaths = livedMs < healthyAfterMs ? earlyDeaths + 1 : 0
    // Exponential backoff: otherwise a server that cannot start would restart all the time.
    const pauseMs = earlyDeaths === 0 ? 0 : Math.min(shortestPauseMs * 2 ** (earlyDeaths - 1), longestPauseMs)
    console.error(
      `worker ${worker.process.pid} ended with ${signal ?? code}; the next starts in ${pauseMs} ms`
    )
    setTimeout(start, pauseMs)
  })

  async function stopAll(): Promise<void> {
    if (isStopping) return
    isStopping = true
    const workers = [...startedAt.keys()]
    const exits = workers.map((worker) => once(worker, 'exit'))
    for (const worker of workers) worker.process.kill('SIGTERM')
    // A worker that hangs does not handle SIGTERM. After SIGKILL its keeper ends its subprocesses.
    setTimeout(() => {
      for (const worker of startedAt.keys()) worker.process.kill('SIGKILL')
    }, stopWithinMs)
    await Promise.all(exits)
    process.exit(0)
  }

  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stopAll())
  for (let i = 0; i < workerCount; i++) start()
}

async function work(self: Worker): Promise<void> {
  const app = serve()
  self.once('disconnect', async () => {
    // The primary is dead. Unless this is set, Node ends this process immediately, with its requests.
    self.exitedAfterDisconnect = true
    await stop(await app)
  })
  await app
}
