/**
 * Four Fastify servers that share a port, and a primary that replaces those that die.
 *
 * npm run --silent build && PORT=3000 WORKERS=4 node build/examples/cluster.js
 *
 * Each worker has a keeper of its own: when it dies, its subprocesses end, and those of the others go on.
 */

import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { serve, stop, stopWithinMs } from './serve.js'

const workerCount = Number(process.env.WORKERS ?? 4)
// A worker that has lived for so long was sound: the next one is started without a pause.
const soundAfterMs = Number(process.env.SOUND_AFTER_MS ?? 5_000)
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
    earlyDeaths = livedMs < soundAfterMs ? earlyDeaths + 1 : 0
    // A server that cannot start would otherwise keep the machine busy with nothing but starting.
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
    // One that hangs does not hear SIGTERM. Its keeper ends what it has started.
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
    // The primary is dead. Node would end this process on the spot, with its requests, but for this mark.
    self.exitedAfterDisconnect = true
    await stop(await app)
  })
  await app
}
