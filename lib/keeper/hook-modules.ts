/** The user's modules of hooks: checks each when it is added, and runs their hooks. */

import type { Containers } from '../platform/current.js'
import type { WorkerInfo } from '../wire/worker-info.js'
import { type HookName, type HookRequest, type HookResult, runHookProcess } from './run-hook-process.js'

const defaultHookMs = 5_000

/** A hook that did not complete. */
export interface HookFailure {
  readonly url: string
  readonly hook: HookName
  /** What went wrong, for a person to read, with the stack of an error. */
  readonly why: string
}

interface HookModule {
  /** Empty until the module has been checked. */
  hooks: readonly HookName[]
  /** How often it was added: several guards of a worker may name one module. It runs once for all of them. */
  users: number
}

export class HookModules {
  readonly #entry: string
  readonly #hookMs: number
  readonly #containers: Containers | undefined
  readonly #modules = new Map<string, HookModule>()

  /** `entry` is the path of the keeper's file; `hookMs` limits each check and each run, in ms. */
  constructor(entry: string, hookMs: number = defaultHookMs, containers?: Containers) {
    this.#entry = entry
    this.#containers = containers
    this.#hookMs = hookMs
  }

  #run(request: HookRequest): Promise<HookResult> {
    return runHookProcess(this.#entry, request, this.#hookMs, this.#containers)
  }

  /**
   * Adds a module. It is loaded once to find out its exports. Rejects when it cannot be loaded, exports no
   * hook, or exports a hook that is not a function.
   */
  async add(url: string): Promise<void> {
    // Counted before the check: it may be removed during the check.
    const module = this.#modules.get(url) ?? { hooks: [], users: 0 }
    module.users++
    this.#modules.set(url, module)
    const result = await this.#run({ type: 'check', url })
    if (result.type === 'failed') {
      this.remove(url)
      throw new Error(`the module ${url} has no usable hooks: ${result.why}`)
    }
    module.hooks = result.hooks
  }

  /** Undoes one `add` of the module. */
  remove(url: string): void {
    const module = this.#modules.get(url)
    if (module !== undefined && --module.users === 0) this.#modules.delete(url)
  }

  /** Whether any module has this hook. */
  has(name: HookName): boolean {
    return this.#urlsWith(name).length > 0
  }

  /**
   * Runs this hook of every module, in parallel. Resolves with the failures, within `hookMs` and one second.
   * Never rejects.
   */
  async run(name: HookName, info: WorkerInfo): Promise<readonly HookFailure[]> {
    const runs = this.#urlsWith(name).map(async (url): Promise<HookFailure | undefined> => {
      const result = await this.#run({ type: 'run', url, hook: name, info })
      return result.type === 'failed' ? { url, hook: name, why: result.why } : undefined
    })
    return (await Promise.all(runs)).filter((failure) => failure !== undefined)
  }

  /** Fails this hook of every module, without running it. */
  failAll(name: HookName, why: string): readonly HookFailure[] {
    return this.#urlsWith(name).map((url) => ({ url, hook: name, why }))
  }

  /** Removes all modules. */
  clear(): void {
    this.#modules.clear()
  }

  #urlsWith(name: HookName): string[] {
    return [...this.#modules].filter(([, { hooks }]) => hooks.includes(name)).map(([url]) => url)
  }
}
