/** The end of the folders of scopes. */

import { removeFolder } from '../platform/current.js'
import type { LeftFolder, ScopeFolder } from '../wire/messages.js'
import { isMarkInUse } from './marked-processes.js'

/** Removes folders. Resolves with those that could not be removed, and why. */
export async function removeFolders(folders: readonly ScopeFolder[]): Promise<LeftFolder[]> {
  const left = await Promise.all(
    folders.map(async ({ path }) => {
      try {
        await removeFolder(path)
        return []
      } catch (error) {
        return [{ path, why: (error as Error).message }]
      }
    })
  )
  return left.flat()
}

/** The folders that stay with what a scope has released, until nothing carries its mark any more. */
export class RetainedFolders {
  readonly #folders = new Map<number, { readonly mark: string; readonly folders: readonly ScopeFolder[] }>()

  retain(scope: number, mark: string, folders: readonly ScopeFolder[]): void {
    if (folders.length > 0) this.#folders.set(scope, { mark, folders })
  }

  /** Something of the scope has ended: removes its folders, if it was the last. Resolves with those that could not be removed. */
  async removeUnused(scope: number): Promise<LeftFolder[]> {
    const kept = this.#folders.get(scope)
    if (kept === undefined) return []
    const { mark, folders } = kept
    if (folders.some(({ user }) => user !== undefined && isMarkInUse(mark, user))) return []
    this.#folders.delete(scope)
    return removeFolders(folders)
  }

  /** The same for all scopes. */
  async removeAllUnused(): Promise<LeftFolder[]> {
    const left = await Promise.all([...this.#folders.keys()].map((scope) => this.removeUnused(scope)))
    return left.flat()
  }
}
