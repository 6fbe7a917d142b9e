/** Where a program is: its location, and those of the files that it links to. */

import { lstatSync, readlinkSync, realpathSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, sep } from 'node:path'

// As many as Linux follows.
const maxLinks = 40

/**
 * The absolute path of a file, without symbolic links in its directory. The file itself may be one: in a
 * multi-call program such as busybox, the name of the link decides what it does.
 */
export function locationOf(path: string): string {
  const folder = realPathOf(dirname(path))
  return folder === undefined ? path : join(folder, basename(path))
}

/** The location of a file, then that of the target of each link, up to the real file. */
export function linkChain(path: string): string[] {
  const chain = [locationOf(path)]
  for (let target = targetOf(chain[0] as string); target !== undefined; ) {
    chain.push(locationOf(target))
    target = chain.length > maxLinks ? undefined : targetOf(chain.at(-1) as string)
  }
  // On Windows a file has more names: a short one, and those that end in dots.
  const real = realPathOf(path)
  if (real !== undefined && real !== chain.at(-1)) chain.push(real)
  return chain
}

function targetOf(path: string): string | undefined {
  try {
    if (!lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) return undefined
    const target = readlinkSync(path)
    // Not normalized: `..` leads elsewhere behind a symbolic link.
    return isAbsolute(target) ? target : `${dirname(path)}${sep}${target}`
  } catch {
    // It is gone, or in a directory that may not be searched: it cannot be started either.
    return undefined
  }
}

/** Undefined if it does not exist, or if a directory may not be searched. */
function realPathOf(path: string): string | undefined {
  try {
    return realpathSync.native(path)
  } catch {
    return undefined
  }
}
