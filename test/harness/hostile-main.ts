/**
 * A command that finds its keeper and sends it orders, in every way that another process of the same user
 * has. Prints the results as JSON.
 */

import { existsSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { connect } from 'node:net'
import type * as Headers from '../../lib/wire/connection-header.js'
import { compiled } from './compiled.js'

const { headerBytes, statusHeader } = await compiled<typeof Headers>('wire/connection-header')

const [target] = process.argv.slice(2) as [string]
const keeper = process.ppid
const launch = { file: 'touch', args: ['touch', target], cwd: '/', stdio: ['ignore', 'ignore', 'ignore'] }
const orders = [
  { type: 'environment', env: process.env },
  { type: 'open', scope: 1_000, opening: { id: 'hostile', graceMs: 0, killSignal: 'SIGTERM' } },
  { type: 'launch', id: 1_000, scope: 1_000, request: launch },
  { type: 'launch', id: 1_001, scope: 1, request: launch },
  { type: 'close', scope: 1 }
]
  .map((order) => `${JSON.stringify(order)}\n`)
  .join('')

/** The inodes of the keeper's sockets, by descriptor. */
function inodes(): Map<string, string> {
  const found = new Map<string, string>()
  for (const descriptor of readdirSync(`/proc/${keeper}/fd`)) {
    try {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${keeper}/fd/${descriptor}`)) ?? []
      if (inode !== undefined) found.set(descriptor, inode)
    } catch {
      // Closed meanwhile.
    }
  }
  return found
}

/** The path of the socket on which the keeper listens. */
function doorOf(): string {
  const own = new Set(inodes().values())
  for (const line of readFileSync('/proc/net/unix', 'utf8').split('\n')) {
    const [, , , , , , inode = '', path] = line.trim().split(/ +/)
    if (own.has(inode) && path !== undefined && existsSync(path)) return path
  }
  throw new Error('the keeper has no socket')
}

/** The keeper's answer to a connection that sends this beginning and then the rest. */
function answerTo(beginning: string, more: string): Promise<string> {
  const socket = connect(doorOf())
  let said = ''
  socket.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  // The keeper closes it in the middle of a write.
  socket.on('error', () => {})
  socket.write(beginning, () => socket.write(more))
  return new Promise((resolve) => socket.once('close', () => resolve(said)))
}

/** The keeper's sockets that can be opened as files. */
function opened(): string[] {
  return [...inodes().keys()].filter((descriptor) => {
    try {
      openSync(`/proc/${keeper}/fd/${descriptor}`, 'r+')
      return true
    } catch {
      return false
    }
  })
}

console.log(
  JSON.stringify({
    orders: await answerTo('', orders),
    guessed: await answerTo('0'.repeat(headerBytes), orders),
    status: JSON.parse(await answerTo(statusHeader, '')),
    afterStatus: typeof (await answerTo(statusHeader, orders)),
    opened: opened()
  })
)
