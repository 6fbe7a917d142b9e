/** Runs as process 1 of a PID namespace: guards a daemon, and prints what was logged and what is left. */

import { readdirSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { createGuard } from 'fastify-subprocess-guard'
import { childrenOf, statOf } from './proc.js'

const warnings: string[] = []
const logger = { info() {}, warn: (_: object, message: string) => void warnings.push(message), error() {} }
const guards = [await createGuard({ grace: 300, logger }), await createGuard({ grace: 300, logger })] as const

const scope = guards[0].open()
// A daemon in its own session, and a command that leaves a child.
const starting = scope.spawn('sh', ['-c', 'sleep 1000 & setsid sh -c "sleep 1000 & echo started" & wait'])
await new Promise((resolve) => starting.stdout.once('data', resolve))
starting.stdout.resume()
const before = (await scope.list()).length
await scope.close()
const output = await guards[1].run({}, async (other) => text(other.spawn('echo', ['it serves']).stdout))
for (const guard of guards) await guard.close()

const alive = readdirSync('/proc').filter((name) => Number(name) > 1)
const left = alive.flatMap((pid) => statOf(Number(pid)) ?? []).map(({ state }) => state)
const zombies = childrenOf(process.pid).length
console.log(JSON.stringify({ pid: process.pid, warnings, before, output, left, zombies }))
