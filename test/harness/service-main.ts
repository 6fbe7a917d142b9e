/**
 * A service like PM2, at(1) or a session bus: it starts the programs that clients of its socket ask for, with
 * the given environment. If it has a command, it also supervises that; with SUBREAPER set, it is the
 * subreaper of the command's orphans.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import type * as PlatformModule from '../../lib/platform/current.js'
import { compiled } from './compiled.js'

export interface Order {
  readonly command: readonly [string, ...string[]]
  readonly env: NodeJS.ProcessEnv
}

const [socket, ...supervised] = process.argv.slice(2) as [string, ...string[]]
const { SUBREAPER, RESTARTS = '0', ...env } = process.env

if (SUBREAPER !== undefined) {
  // Not public: loads the compiled file.
  const { platform }: typeof PlatformModule = await compiled('platform/current')
  const native = await platform.loadNativeCalls()
  if (native instanceof Error || !native.becomeOrphanAdopter())
    throw new Error('this process is no subreaper')
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
