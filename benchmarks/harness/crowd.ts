/** Many sleeping processes that have nothing to do with the measurement. */

import { spawn } from 'node:child_process'
import { Pipe } from './pipe.js'
import { argumentsOf, type Tree } from './trees.js'

export class Crowd {
  readonly #pipes: Pipe[] = []

  /** Starts that many trees, each in its own session. Resolves when all processes sleep. */
  static async start(trees: number, tree: Tree): Promise<Crowd> {
    const crowd = new Crowd()
    for (let number = 0; number < trees; number++) await crowd.#add(tree)
    return crowd
  }

  /** Ends all processes. */
  async end(): Promise<void> {
    for (const pipe of this.#pipes) await pipe.end()
  }

  async #add(tree: Tree): Promise<void> {
    const pipe = new Pipe()
    this.#pipes.push(pipe)
    spawn('sh', argumentsOf(tree), { env: pipe.env, stdio: 'ignore', detached: true }).unref()
    await pipe.held(tree.size)
  }
}
