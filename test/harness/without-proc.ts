/**
 * Runs programs that do not see `/proc`, in mounts of their own, where ps does see it: it is the real one, which first
 * takes away what hides `/proc`.
 */

import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const isRoot = process.getuid?.() === 0
const inOwnMounts = ['unshare', ...(isRoot ? [] : ['--user', '--map-root-user']), '--mount']

/** A command line to which another one is appended. */
export type Within = readonly string[]

interface Hiding {
  readonly within: Within
  remove(): void
}

/** `ps`: what is at the place of ps there. The others are for tests of systems without one. */
export function hideProc(ps: 'real' | 'none' | 'no list' = 'real'): Hiding {
  const folder = mkdtempSync(join(tmpdir(), 'hide-'))
  // Programs of other users run it too.
  chmodSync(folder, 0o755)
  const place = realpathSync('/bin/ps')
  const [real, shown] = [join(folder, 'ps'), join(folder, 'shown')]
  copyFileSync(place, real)
  writeFileSync(shown, scriptOf(ps, real), { mode: ps === 'none' ? 0o644 : 0o755 })
  const script = `mount --bind ${shown} ${place} && mount -t tmpfs none /proc && exec "$@"`
  return {
    within: [...inOwnMounts, 'sh', '-c', script, 'sh'],
    remove: () => rmSync(folder, { recursive: true })
  }
}

/** Why it cannot be done here; false if it can. */
export function whyNoHiding(): string | false {
  const { within, remove } = hideProc()
  const [program = '', ...args] = [...within, 'sh', '-c', 'test ! -e /proc/self && ps -A -o pid=']
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
  remove()
  return status === 0 ? false : `/proc cannot be hidden here: ${stderr || error}`
}

function scriptOf(ps: string, real: string): string {
  const run = `exec unshare --mount sh -c 'umount /proc && exec "$0" "$@"' ${real} "$@"`
  const refuse = 'case "$*" in *-A*|*axe*) echo "ps: this list is not allowed" >&2; exit 1; esac'
  return `#!/bin/sh\n${ps === 'no list' ? `${refuse}\n` : ''}${run}\n`
}
