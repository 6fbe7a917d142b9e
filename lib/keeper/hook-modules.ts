/** The modules of hooks that the keeper runs when its worker hangs or has ended. */

import type { WorkerInfo } from '../wire/worker-info.js'
import { carryOut, type HookName } from './run-hook.js'

const defaultHookMs = 5_000

/** A hook that did not come to its end. */
export interface HookFailure {
  readonly url: string
  readonly hook: HookName
  /** What went wrong, for a person to read; the stack of an error included. */
  readonly why: string
}

interface HookModule {
  /** None until it has been looked at. */
  hooks: readonly HookName[]
  /** Guards of one worker may name the same module: it is run once, until the last of them removes it. */
  users: number
}

export class HookModules {
  readonly #entry: string
  readonly #hookMs: number
  readonly #modules = new Map<string, HookModule>()

  /** `hookMs` bounds each check and each run; `entry` is the keeper's file. */
  constructor(entry: string, hookMs: number = defaultHookMs) {
    this.#entry = entry
    this.#hookMs = hookMs
  }

  /**
   * Takes a module in, after it was loaded once to see what it exports. Rejects when it cannot be loaded, has no
   * hook, or has one that is no function.
   */
  async add(url: string): Promise<void> {
    // Counted from now on: it may be taken back while it is looked at.
    const module = this.#modules.get(url) ?? { hooks: [], users: 0 }
    module.users++
    this.#modules.set(url, module)
    const answer = await carryOut(this.#entry, { type: 'check', url }, this.#hookMs)
    if (answer.type === 'failed') {
      this.remove(url)
      throw new Error(`the module ${url} has no usable hooks: ${answer.why}`)
    }
    module.hooks = answer.hooks
  }

  /** Takes one `add` of the module back. */
  remove(url: string): void {
    const module = this.#modules.get(url)
    if (module !== undefined && --module.users === 0) this.#modules.delete(url)
  }

  /** Whether any module has that hook. */
  has(name: HookName): boolean {
    return this.#urlsWith(name).length > 0
  }

  /**
   * Runs that hook of every module, side by side. Resolves, within `hookMs` and a second, with those that
   * failed; never rejects.
   */
  async run(name: HookName, info: WorkerInfo): Promise<readonly HookFailure[]> {
    const runs = this.#urlsWith(name).map(async (url): Promise<HookFailure | undefined> => {
      const answer = await carryOut(this.#entry, { type: 'run', url, hook: name, info }, this.#hookMs)
      return answer.type === 'failed' ? { url, hook: name, why: answer.why } : undefined
    })
    return (await Promise.all(runs)).filter((failure) => failure !== undefined)
  }

  /** The failures of a hook that is not run. */
  refused(name: HookName, why: string): readonly HookFailure[] {
    return this.#urlsWith(name).map((url) => ({ url, hook: name, why }))
  }

  /** Forgets them all. */
  clear(): void {
    this.#modules.clear()
  }

  #urlsWith(name: HookName): string[] {
    return [...this.#modules].filter(([, { hooks }]) => hooks.includes(name)).map(([url]) => url)
  }
}
