// A tree of shells, and whether its processes are alive.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('tree.sh', import.meta.url))
const processes = 3
const begun = 'begun\n'.repeat(processes)
// Far more than any step takes, also on an emulated processor.
export const withinMs = 60_000
let trees = 0

export class Tree {
  /** The command that starts it: a program and its arguments. */
  command
  #said = ''
  #output
  #end
  #input

  constructor(folder) {
    const [output, input] = ['output', 'input'].map((name) => join(folder, `${name}-${trees}`))
    trees++
    execFileSync('mkfifo', [output, input])
    this.command = ['sh', script, output, input]
    // All processes of the tree hold the other end of it.
    this.#output = new Socket({ fd: openSync(output, constants.O_RDONLY | constants.O_NONBLOCK) })
    this.#output.setEncoding('latin1').on('data', (text) => {
      this.#said += text
    })
    this.#end = once(this.#output, 'end')
    this.#input = openSync(input, constants.O_RDWR)
  }

  /** Resolves when all its processes have begun. */
  async begin() {
    const signal = AbortSignal.timeout(withinMs)
    while (this.#said !== begun) await once(this.#output, 'data', { signal })
  }

  /** Resolves when none of them is alive any more. None has gone on by itself. */
  async assertGone() {
    assert.equal(await this.#lastWords(), '')
  }

  /** Lets them go on, and resolves when all have. */
  async assertAlive() {
    writeSync(this.#input, '\n'.repeat(processes))
    assert.equal(await this.#lastWords(), 'alive\n'.repeat(processes))
  }

  async #lastWords() {
    const timer = setTimeout(() => this.#output.destroy(new Error(`not gone after ${withinMs} ms`)), withinMs)
    await this.#end
    clearTimeout(timer)
    closeSync(this.#input)
    return this.#said.slice(begun.length)
  }
}
