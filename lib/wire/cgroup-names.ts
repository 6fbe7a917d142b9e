/** Names of cgroups: each names its worker, so that a sweep can tell from the name whose it is. */

import { basename, dirname } from 'node:path'
import { workerIn } from './mark.js'

/** What the name of the cgroup of every worker begins with. */
export const workerCgroupPrefix = 'subprocess-guard.'

/** The name of the cgroup in which those of a worker's scopes are. */
export function workerCgroupName(workerMark: string): string {
  return `${workerCgroupPrefix}${workerMark}`
}

/** The mark of the worker whose cgroup has this name. Undefined if it is not one of ours. */
export function workerMarkOfCgroup(name: string): string | undefined {
  const mark = name.startsWith(workerCgroupPrefix) ? name.slice(workerCgroupPrefix.length) : ''
  return workerIn(mark) === undefined ? undefined : mark
}

/**
 * The name of the cgroup of a scope. A keeper with other rights may have commands of the same scope: so it
 * names the keeper, too.
 */
export function scopeCgroupName(scope: number, keeper: number): string {
  return `${scope}.${keeper}`
}

/** The number of the scope in such a name. Undefined if it is another name. */
export function scopeOfCgroup(name: string): number | undefined {
  const [, scope] = /^(\d+)\.\d+$/.exec(name) ?? []
  return scope === undefined ? undefined : Number(scope)
}

/**
 * Whether a process whose cgroup has this path is in the cgroup of a scope with this directory, or below it. The
 * mark in the name is unique, and the path may have another beginning than the directory.
 */
export function isInScopeCgroup(path: string | undefined, folder: string): boolean {
  return path !== undefined && `${path}/`.includes(`/${basename(dirname(folder))}/${basename(folder)}/`)
}
