/** The places that all users of a machine share, new and empty, and seen by nobody else. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../', import.meta.url))
export const isRoot = process.getuid?.() === 0
const flags = ['--mount', ...(isRoot ? [] : ['--user', '--map-root-user'])]
const tried = spawnSync('unshare', [...flags, 'mount', '-t', 'tmpfs', 'none', '/tmp'], { encoding: 'utf8' })

/** Why there can be none here; false where there can. */
export const noNewPlaces =
  tried.status === 0 ? false : `no folders of its own can be mounted: ${tried.stderr ?? tried.error}`

// The tests themselves may be in a place that is hidden then, and so may Node.
const fresh = `set -e
  mount -t tmpfs none /dev/shm; mkdir /dev/shm/root /dev/shm/other; mount --bind "$ROOT" /dev/shm/root
  touch /dev/shm/node; mount --bind "$NODE" /dev/shm/node
  mount -t tmpfs none /run; mount -t tmpfs none /tmp; chmod 1777 /dev/shm /tmp; mkdir /tmp/own; cd /`

/** Where the compiled package is then. */
export const distThere = '/dev/shm/root/dist'

const mainThere = '/dev/shm/root/build/test/harness'

/** Runs a program of Node there, as root, with the TMPDIR /tmp/own, after one of the shell, and returns what it prints. */
export function runInNewPlaces<Printed>(prepare: string, program: string): Printed {
  return runNode(prepare, ['--input-type=module', '--eval', program])
}

/** The same for a program of the harness. */
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
