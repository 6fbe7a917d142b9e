/**
 * A service like PM2, at(1) or a session bus: it starts the programs that clients of its socket ask for, with
 * the given environment. If it has a command, it also supervises that; with SUBREAPER set, it is the
 * subreaper of the command's orphans.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import type * as LibcModule from '../../lib/platform/linux/system-calls.js'

export interface Order {
  readonly command: readonly [string, ...string[]]
  readonly env: NodeJS.ProcessEnv
}

const [socket, ...supervised] = process.argv.slice(2) as [string, ...string[]]
const { SUBREAPER, RESTARTS = '0', ...env } = process.env

if (SUBREAPER !== undefined) {
  // Not public: loads the compiled file.
  const url = new URL('../../../dist/platform/linux/system-calls.js', import.meta.url).href
  const { loadLibc }: typeof LibcModule = await import(url)
  const libc = await loadLibc()
  if (libc instanceof Error || !libc.becomeSubreaper()) throw new Error('this process is no subreaper')
}

const server = createServer({ allowHalfOpen: true }, async (connection) => {
  const { command, env }: Order = JSON.parse(await text(connection))
  const [file, ...args] = command
  spawn(file, args, { env, stdio: 'ignore', detached: true })
  connection.end('started\n')
})
await new Promise<void>((resolve) => server.listen(socket, resolve))
console.log('it listens')

let restarts = Number(RESTARTS)
if (supervised.length > 0) supervise()

function supervise(): void {
  const [file, ...args] = supervised as [string, ...string[]]
  const child: ChildProcess = spawn(file, args, { env, stdio: 'inherit' })
  child.once('exit', () => {
    if (restarts-- > 0) supervise()
  })
}
