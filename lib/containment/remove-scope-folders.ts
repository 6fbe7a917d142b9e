/** Removes the directories of scopes: at once, or when no released process may use them any more. */

import { platform } from '../platform/current.js'
import type { LeftFolder, ScopeFolder } from '../wire/messages.js'
import { isMarkInUse } from './marked-processes.js'

/** Removes directories. Resolves with those that could not be removed, and why. */
export async function removeFolders(folders: readonly ScopeFolder[]): Promise<LeftFolder[]> {
  const left = await Promise.all(
    folders.map(async ({ path }) => {
      try {
        await platform.removeFolder(path)
        return []
      } catch (error) {
        return [{ path, why: (error as Error).message }]
      }
    })
  )
  return left.flat()
}

/** Directories of a closed scope that its released processes use, kept until none has its mark any more. */
export class RetainedFolders {
  readonly #folders = new Map<number, { readonly mark: string; readonly folders: readonly ScopeFolder[] }>()
  readonly #hasReleased: ((scope: number) => boolean) | undefined

  /** `hasReleased` tells whether a released process of a scope runs. Undefined where its mark tells. */
  constructor(hasReleased?: (scope: number) => boolean) {
    this.#hasReleased = hasReleased
  }

  retain(scope: number, mark: string, folders: readonly ScopeFolder[]): void {
    if (folders.length > 0) this.#folders.set(scope, { mark, folders })
  }

  /**
   * Call this when a process of the scope has ended. Removes the scope's directories if that was the last
   * one. Resolves with those that could not be removed.
   */
  async removeUnused(scope: number): Promise<LeftFolder[]> {
    const retained = this.#folders.get(scope)
    if (retained === undefined) return []
    const { mark, folders } = retained
    const isInUse =
      this.#hasReleased?.(scope) ?? folders.some(({ user }) => user !== undefined && isMarkInUse(mark, user))
    if (isInUse) return []
    this.#folders.delete(scope)
    return removeFolders(folders)
  }

  /** The same for all scopes. */
  async removeAllUnused(): Promise<LeftFolder[]> {
    const left = await Promise.all([...this.#folders.keys()].map((scope) => this.removeUnused(scope)))
    return left.flat()
  }
}
