/**
 * Checks whether process 1 is an init: orphans become its children, and an init reaps them and forwards
 * signals.
 */

import { basename } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Finding } from '../../platform.js'
import { allProcesses } from '../all-processes.js'
import { pidNamespace } from '../pid-namespace.js'
import { statOf } from '../process-stat.js'
import { readText } from './read-system-file.js'

// An init reaps at once, or at least every second.
const reapedWithinMs = 1_500
// PROC_PID_INIT_INO: the initial PID namespace, that of the machine itself. No container is in it.
const initialNamespace = '4026531836'

// Programs that reap every orphan.
const inits = new Set([
  ...['init', 'systemd', 'openrc-init', 'runit', 'runit-init', 'procd', 'finit', 'dinit', 's6-svscan'],
  ...['s6-linux-init', 'tini', 'tini-static', 'docker-init', 'dumb-init', 'catatonit', 'podman-init'],
  ...['pid1', 'pause', 'my_init', 'supervisord', 'bwrap', 'minijail0']
])
const nodes = new Set([
  ...['node', 'nodejs', 'npm', 'npx', 'pnpm', 'yarn', 'pm2', 'pm2-runtime', 'tsx', 'bun', 'deno']
])
const shells = new Set(['sh', 'bash', 'dash', 'ash', 'zsh', 'ksh', 'busybox'])

const initAdvice =
  'Make an init process 1: docker run --init (init: true in compose.yaml), or shareProcessNamespace: ' +
  'true in Kubernetes, or tini as the ENTRYPOINT of the image.'

/** Checks the zombies of process 1 twice: every process is a zombie for a moment. */
export async function checkFirstProcess(): Promise<Finding> {
  const stat = statOf(1)
  if (stat === undefined) {
    const says = 'Process 1 is hidden from this user: its program is unknown.'
    return { name: 'process 1', severity: 'note', says }
  }
  const before = zombiesOf(1)
  if (before.size > 0) await pause(reapedWithinMs)
  const zombies = [...zombiesOf(1)].filter((zombie) => before.has(zombie)).length
  return judge(programNameOf(stat.name), pidNamespace() !== initialNamespace, zombies)
}

function judge(first: string, isContainer: boolean, zombies: number): Finding {
  const name = 'process 1'
  const where = `Process 1 of ${isContainer ? 'this PID namespace' : 'this machine'} is ${first}`
  const left = zombies === 0 ? '' : ` It has left ${zombies} zombies so far.`
  if (nodes.has(first)) {
    const says = `${where}, which reaps no orphans: they stay as zombies.${left}`
    return { name, severity: 'problem', says, toDo: initAdvice }
  }
  if (shells.has(first)) {
    const says = `${where}, which does not forward SIGTERM: the server is killed before it has closed.${left}`
    return { name, severity: 'problem', says, toDo: `${initAdvice} Have the shell exec the server.` }
  }
  if (zombies > 0) {
    return { name, severity: 'problem', says: `${where}, which does not reap.${left}`, toDo: initAdvice }
  }
  if (inits.has(first)) return { name, severity: 'ok', says: `${where}, an init.` }
  const says = `${where}, which is not known as an init: it may leave zombies.`
  return { name, severity: 'note', says, ...(isContainer ? { toDo: initAdvice } : {}) }
}

/** Each as pid and start time. */
function zombiesOf(parent: number): Set<string> {
  const zombies = allProcesses().filter((stat) => stat.parent === parent && stat.state === 'Z')
  return new Set(zombies.map(({ pid, startTick }) => `${pid} ${startTick}`))
}

/**
 * The program that process 1 runs. npm and similar programs replace it by their own name and arguments, as
 * one text.
 */
function programNameOf(shortName: string): string {
  const [program = ''] = readText('/proc/1/cmdline')?.split(/[\0 ]/) ?? []
  // The name of a login shell begins with a hyphen.
  return basename(program).replace(/^-/, '') || shortName
}
