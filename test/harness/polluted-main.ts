/**
 * Prints the results of commands as JSON. Before the guard starts,
 * `Object.prototype` gets the properties of the argument.
 */

import { createGuard } from 'fastify-subprocess-guard'

const [launch, pollution] = process.argv.slice(2) as ['keeper' | 'direct', string]
Object.assign(Object.prototype, JSON.parse(pollution))

const guard = await createGuard({ launch })
const results = await guard.run({}, async (scope) => {
  const shown = 'echo "$0 $PWD $(id -u):$(id -g) $EVIL"; cat'
  const spawned = scope.spawn('sh', ['-c', shown])
  const chunks: Buffer[] = []
  spawned.stdout.on('data', (chunk) => chunks.push(chunk))
  spawned.stdin.end('given')
  const [status] = await new Promise<unknown[]>((resolve) => spawned.once('close', (...end) => resolve(end)))
  const file = await scope.execFile('sh', ['-c', shown])
  const line = await scope.exec(shown)
  const stream: Buffer[] = []
  for await (const chunk of scope.stream('sh', ['-c', shown], { input: 'given' })) stream.push(chunk)
  return [
    status,
    Buffer.concat(chunks).toString(),
    file.stdout,
    line.stdout,
    Buffer.concat(stream).toString()
  ]
})
await guard.close()
console.log(JSON.stringify(results))
