/** A folder of this user's own that all servers of the user share: nobody else can take its place or write to it. */

import { lstatSync, mkdirSync, mkdtempSync, readdirSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'

// How long a list of the folders holds, in ms: one is asked for with every mark.
const listHoldsMs = 1_000

export interface OwnFolder {
  readonly path: string
  /** The places of its name that somebody else has taken, and how. Empty where all is well. */
  readonly squatted: readonly string[]
}

/**
 * Finds the folder, or makes it, and uses it. Anybody may have made one of its name: then it is at the next place, or has a
 * random name, by which `ownFolders` finds it. It is also at the next place when its use throws, such as for want of room.
 * Throws an `Error` with all reasons where none can be had.
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

/** For the log. */
export function squattedLine(squatted: readonly string[]): string {
  return `${squatted.join('; ')}: another place is used; remove it`
}

let list:
  | { readonly paths: readonly string[]; readonly until: number; readonly user: number | undefined }
  | undefined

/** All that there are: more than one where others have taken its name for a while. */
export function ownFolders(): readonly string[] {
  const now = performance.now()
  const user = process.geteuid?.()
  if (list === undefined || list.until < now || list.user !== user) {
    const paths = [...new Set([...sharedPlaces(), ...ownPlaces()])].flatMap(ownFoldersIn)
    list = { paths, until: now + listHoldsMs, user }
  }
  return list.paths
}

/** Puts places first where no other user can rename what is in them. */
export function shieldedFirst(places: readonly string[]): string[] {
  return [...places.filter(isShielded), ...places.filter((place) => !isShielded(place))]
}

/** At places that a server and the next one have in common, whatever their environment. */
function sharedPlaces(): string[] {
  return shieldedFirst(['/dev/shm', `/run/user/${process.geteuid?.()}`, '/tmp'])
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

/** Where somebody was here before, it is the one that they have made. */
function findRandom(place: string): string {
  const [found] = ownFoldersIn(place)
  if (found !== undefined) return found
  const path = mkdtempSync(join(place, `${plainName()}-`))
  list = undefined
  // Two may have made one at the same time.
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
    // It is not there, or may be entered and not read.
    return [plainName()]
  }
}

/** Undefined for a folder of this user that nobody else may enter. */
function whyNotOwn(path: string): string | undefined {
  try {
    const stat = lstatSync(path)
    if (!stat.isDirectory()) return 'is no folder'
    if (stat.uid !== process.geteuid?.()) return `belongs to user ${stat.uid}`
    return (stat.mode & 0o077) === 0 ? undefined : 'is open to other users'
  } catch (error) {
    return (error as Error).message
  }
}

function isShielded(place: string): boolean {
  try {
    const { uid, mode } = statSync(place)
    const isSticky = (mode & 0o1000) !== 0
    return (uid === 0 || uid === process.geteuid?.()) && ((mode & 0o022) === 0 || isSticky)
  } catch {
    // Whoever makes a folder there hears why not.
    return true
  }
}
