/**
 * Takes more and more of something: memory, processor time or processes. `one`: in this process. `several`: in three
 * children. `grandchild`: in a detached process that a child has started. Each tells the witness that it is alive.
 */

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { tellWitness } from './witness.js'

export type Taken = 'memory' | 'cpu' | 'processes'
export type Shape = 'one' | 'several' | 'grandchild'

const ownFile = fileURLToPath(import.meta.url)

function takeMemory(): void {
  const taken: Buffer[] = []
  setInterval(() => taken.push(Buffer.alloc(8e6, 1)), 20)
}

function takeProcesses(name: string): void {
  let count = 0
  setInterval(() => start('waits', 'one', `${name}.${count++}`), 100)
}

function start(what: string, shape: Shape | 'child', name: string, detached = false): void {
  spawn(process.execPath, [ownFile, what, shape, name], { stdio: 'ignore', detached }).unref()
}

function take(what: string, name: string): void {
  if (what === 'memory') takeMemory()
  if (what === 'processes') takeProcesses(name)
  if (what === 'cpu') for (;;);
}

const [what, shape, name] = process.argv.slice(2) as [string, Shape | 'child', string]
setInterval(() => {}, 60_000)
// The witness has to hear of this process before it blocks its event loop.
await tellWitness(name)
if (shape === 'one') take(what, name)
if (shape === 'several') for (const index of [1, 2, 3]) start(what, 'one', `${name}-${index}`)
if (shape === 'grandchild') start(what, 'child', `${name}-child`)
if (shape === 'child') start(what, 'one', `${name}-detached`, true)
