/** Sends as many requests as a server can answer, and checks each response. */

import { performance } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import autocannon, { type Instance, type Result } from 'autocannon'
import { act } from '../harness/actor.js'
import { ensure } from '../harness/benchmark.js'

// Real clients do not pipeline: many connections, each with one request at a time, keep the server busy.
const connections = 100
const rampMs = 60
const untilStopped = 3_600
const stopsWithinMs = 20

act({
  /**
   * Measures for `ms` after all connections are open. `perSecond` is the rate in that time; `answers` and
   * `loadMs` include the time before and after.
   */
  async run(port: number, ms: number, body: string) {
    const beganAt = performance.now()
    let load!: Instance
    const ended = new Promise<Result>((resolve, reject) => {
      const target = { url: `http://127.0.0.1:${port}/`, connections, expectBody: body }
      load = autocannon({ ...target, duration: untilStopped, sampleInt: stopsWithinMs }, (error, result) =>
        error ? reject(error) : resolve(result)
      )
    })
    let answers = 0
    load.on('response', () => answers++)
    await wait(rampMs)
    const answersBefore = answers
    const startedAt = performance.now()
    await wait(ms)
    const perSecond = ((answers - answersBefore) / (performance.now() - startedAt)) * 1_000
    load.stop()
    const result = await ended
    const loadMs = performance.now() - beganAt
    const { errors, timeouts, mismatches, non2xx } = result
    const faults = errors + timeouts + mismatches + non2xx
    ensure(faults === 0, JSON.stringify({ errors, timeouts, mismatches, non2xx }))
    ensure(Object.keys(result.statusCodeStats ?? {}).join() === '200', JSON.stringify(result.statusCodeStats))
    return { perSecond, answers, loadMs }
  }
})
