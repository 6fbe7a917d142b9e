/**
 * Runs programs with new, empty mounts in place of the directories that all users share, such as /tmp. No
 * other process sees these mounts.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../', import.meta.url))
export const isRoot = process.getuid?.() === 0
const flags = ['--mount', ...(isRoot ? [] : ['--user', '--map-root-user'])]
const tried = spawnSync('unshare', [...flags, 'mount', '-t', 'tmpfs', 'none', '/tmp'], { encoding: 'utf8' })

/** Why nothing can be mounted here; false if it can. */
export const noNewPlaces =
  tried.status === 0 ? false : `no folders of its own can be mounted: ${tried.stderr ?? tried.error}`

// The mounts may hide the tests and Node, so make both visible below /dev/shm.
const fresh = `set -e
  mount -t tmpfs none /dev/shm; mkdir /dev/shm/root /dev/shm/other; mount --bind "$ROOT" /dev/shm/root
  touch /dev/shm/node; mount --bind "$NODE" /dev/shm/node
  mount -t tmpfs none /run; mount -t tmpfs none /tmp; chmod 1777 /dev/shm /tmp; mkdir /tmp/own; cd /`

/** The path of the compiled package there. */
export const distThere = '/dev/shm/root/dist'

const mainThere = '/dev/shm/root/build/test/harness'

/**
 * Runs a shell script and then a Node program there, as root and with TMPDIR=/tmp/own.
 * Returns the JSON that the program prints.
 */
export function runInNewPlaces<Printed>(prepare: string, program: string): Printed {
  return runNode(prepare, ['--input-type=module', '--eval', program])
}

/** The same for a program of `test/harness`. */
export function runMainInNewPlaces<Printed>(prepare: string, main: string, ...args: string[]): Printed {
  return runNode(prepare, [`${mainThere}/${main}`, ...args])
}

function runNode<Printed>(prepare: string, args: readonly string[]): Printed {
  const command = [...flags, 'sh', '-c', `${fresh}\n${prepare}\nexec "$@"`, 'sh', '/dev/shm/node', ...args]
  const env = { ...process.env, ROOT: root, NODE: process.execPath, TMPDIR: '/tmp/own', XDG_RUNTIME_DIR: '' }
  const { stdout, stderr } = spawnSync('unshare', command, { encoding: 'utf8', env })
  assert.notEqual(stdout, '', stderr)
  return JSON.parse(stdout)
}
