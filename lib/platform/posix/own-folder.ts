/** Makes a directory that all servers of this user share, and that no other user can replace or write to. */

import { lstatSync, mkdirSync, mkdtempSync, readdirSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import type { OwnFolder } from '../platform.js'

// How long a list of the directories is used. It is needed for every mark.
const listFreshForMs = 1_000

/**
 * Finds or makes the directory, and calls `use` with it. If another user has occupied its name, it is in the
 * next place, or has a random name, which `ownFolders` finds. It is in the next place as well if `use`
 * throws, such as for lack of space. Throws an `Error` with all reasons if every place fails.
 */
export function makeOwnFolder(use: (path: string) => void = () => {}): OwnFolder {
  const squatted: string[] = []
  const failures: string[] = []
  for (const places of [sharedPlaces(), ownPlaces()]) {
    for (const find of [findPlain, findRandom]) {
      for (const place of places) {
        try {
          const path = find(place, squatted)
          use(path)
          return { path, squatted }
        } catch (error) {
          failures.push((error as Error).message)
        }
      }
    }
  }
  throw new Error([...new Set(failures)].join('; '))
}

let list:
  | { readonly paths: readonly string[]; readonly until: number; readonly user: number | undefined }
  | undefined

/** All such directories that exist: more than one if another user has occupied the name for some time. */
export function ownFolders(): readonly string[] {
  const now = performance.now()
  const user = process.geteuid?.()
  if (list === undefined || list.until < now || list.user !== user) {
    const paths = [...new Set([...sharedPlaces(), ...ownPlaces()])].flatMap(ownFoldersIn)
    list = { paths, until: now + listFreshForMs, user }
  }
  return list.paths
}

/** Sorts directories: first those in which no other user can rename anything. */
export function protectedFirst(places: readonly string[]): string[] {
  return [...places.filter(isProtected), ...places.filter((place) => !isProtected(place))]
}

/** Places that all servers have in common, whatever their environment. */
function sharedPlaces(): string[] {
  return protectedFirst(['/dev/shm', `/run/user/${process.geteuid?.()}`, '/tmp'])
}

function ownPlaces(): string[] {
  return [process.env.XDG_RUNTIME_DIR ?? '', tmpdir()].filter(isAbsolute)
}

function plainName(): string {
  return `subprocess-guard-${process.geteuid?.()}`
}

function findPlain(place: string, squatted: string[]): string {
  const path = join(place, plainName())
  try {
    mkdirSync(path, { mode: 0o700 })
    list = undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const why = whyNotOwn(path)
  if (why === undefined) return path
  squatted.push(`${path} ${why}`)
  throw new Error(`${path} ${why}`)
}

/** If another server was here before, it is the directory that this server has made. */
function findRandom(place: string): string {
  const [found] = ownFoldersIn(place)
  if (found !== undefined) return found
  const path = mkdtempSync(join(place, `${plainName()}-`))
  list = undefined
  // Two servers may have made one at the same time: all use the first one.
  return ownFoldersIn(place)[0] ?? path
}

function ownFoldersIn(place: string): string[] {
  const plain = plainName()
  return namesIn(place)
    .filter((name) => name === plain || (name.startsWith(`${plain}-`) && name.length === plain.length + 7))
    .sort()
    .map((name) => join(place, name))
    .filter((path) => whyNotOwn(path) === undefined)
}

function namesIn(place: string): string[] {
  try {
    return readdirSync(place)
  } catch {
    // It does not exist, or may be entered but not listed.
    return [plainName()]
  }
}

/** Why a path cannot be used. Undefined for a directory of this user that no other user may enter. */
function whyNotOwn(path: string): string | undefined {
  try {
    const stat = lstatSync(path)
    if (!stat.isDirectory()) return 'is not a directory'
    if (stat.uid !== process.geteuid?.()) return `belongs to user ${stat.uid}`
    return (stat.mode & 0o077) === 0 ? undefined : 'is open to other users'
  } catch (error) {
    return (error as Error).message
  }
}

function isProtected(place: string): boolean {
  try {
    const { uid, mode } = statSync(place)
    const isSticky = (mode & 0o1000) !== 0
    return (uid === 0 || uid === process.geteuid?.()) && ((mode & 0o022) === 0 || isSticky)
  } catch {
    // Making a directory there will tell why not.
    return true
  }
}
