/** Process 1, to whom orphans go: whether it is an init, which reaps them and passes signals on. */

import { basename } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { allProcesses, pidNamespace, statOf } from '../../platform/current.js'
import type { Finding } from './finding.js'
import { textOf } from './text-of.js'

// An init reaps at once. One that looks every second leaves none for long either.
const reapedWithinMs = 1_500
// PROC_PID_INIT_INO: the namespace of the machine itself, of which no container is.
const machineNamespace = '4026531836'

// Each collects every orphan that comes to it.
const inits = new Set([
  ...['init', 'systemd', 'openrc-init', 'runit', 'runit-init', 'procd', 'finit', 'dinit', 's6-svscan'],
  ...['s6-linux-init', 'tini', 'tini-static', 'docker-init', 'dumb-init', 'catatonit', 'podman-init'],
  ...['pid1', 'pause', 'my_init', 'supervisord', 'bwrap', 'minijail0']
])
const nodes = new Set([
  ...['node', 'nodejs', 'npm', 'npx', 'pnpm', 'yarn', 'pm2', 'pm2-runtime', 'tsx', 'bun', 'deno']
])
const shells = new Set(['sh', 'bash', 'dash', 'ash', 'zsh', 'ksh', 'busybox'])

const giveAnInit =
  'Have an init as process 1: docker run --init (init: true in compose.yaml), or shareProcessNamespace: ' +
  'true in Kubernetes, or tini as the ENTRYPOINT of the image.'

/** Looks twice at the zombies of process 1: every process is one for a moment. */
export async function findFirstProcess(): Promise<Finding> {
  const stat = statOf(1)
  if (stat === undefined) {
    const says = 'Process 1 is hidden from this user: what it is cannot be told.'
    return { name: 'process 1', severity: 'note', says }
  }
  const before = zombiesOf(1)
  if (before.size > 0) await pause(reapedWithinMs)
  const zombies = [...zombiesOf(1)].filter((zombie) => before.has(zombie)).length
  return judge(nameOf(stat.name), pidNamespace() !== machineNamespace, zombies)
}

function judge(first: string, isContainer: boolean, zombies: number): Finding {
  const name = 'process 1'
  const where = `Process 1 of ${isContainer ? 'this PID namespace' : 'this machine'} is ${first}`
  const left = zombies === 0 ? '' : ` It has left ${zombies} zombies so far.`
  if (nodes.has(first)) {
    const says = `${where}, which reaps no orphans: they stay as zombies.${left}`
    return { name, severity: 'problem', says, toDo: giveAnInit }
  }
  if (shells.has(first)) {
    const says = `${where}, which passes no SIGTERM on: the server is killed before it has closed.${left}`
    return { name, severity: 'problem', says, toDo: `${giveAnInit} Have the shell exec the server.` }
  }
  if (zombies > 0) {
    return { name, severity: 'problem', says: `${where}, which does not reap.${left}`, toDo: giveAnInit }
  }
  if (inits.has(first)) return { name, severity: 'ok', says: `${where}, an init.` }
  const says = `${where}, which is not known as an init: it may leave zombies.`
  return { name, severity: 'note', says, ...(isContainer ? { toDo: giveAnInit } : {}) }
}

/** By number and start time. */
function zombiesOf(parent: number): Set<string> {
  const zombies = allProcesses(() => false).filter((stat) => stat.parent === parent && stat.state === 'Z')
  return new Set(zombies.map(({ pid, startTick }) => `${pid} ${startTick}`))
}

/** The program that it runs; npm and its like put their own name there, with the arguments. */
function nameOf(shortName: string): string {
  const [program = ''] = textOf('/proc/1/cmdline')?.split(/[\0 ]/) ?? []
  // A login shell has a hyphen before its name.
  return basename(program).replace(/^-/, '') || shortName
}
