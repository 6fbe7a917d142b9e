/** Checks whether a keeper can have its commands in job objects: it tries. */

import { setTimeout as pause } from 'node:timers/promises'
import type { Finding } from '../../platform.js'
import { loadWindowsCalls } from '../windows-calls.js'

const name = 'job objects'
// A process takes far less to start and to end.
const withinMs = 10_000
const pauseMs = 20

/** A problem if they cannot be had. */
export async function checkJobs(): Promise<Finding> {
  const calls = await loadWindowsCalls()
  if (calls instanceof Error) {
    const says = `The optional dependency koffi could not be loaded: ${calls.message}.`
    const toDo = `Install it with its build for this system (npm install koffi, without --omit=optional).`
    return { name, severity: 'problem', says, toDo }
  }
  try {
    const job = calls.createJob()
    const started = calls.startProcess({
      file: process.execPath,
      args: [process.execPath, '--version'],
      windowsVerbatimArguments: false,
      windowsHide: true,
      env: process.env,
      cwd: process.cwd(),
      stdio: ['ignore', 'ignore', 'ignore'],
      job
    })
    if ('code' in started) throw new Error(`a process could not be started in one: ${started.code}`)
    if (calls.jobPids(job)[0] !== started.pid) throw new Error('a process was not in its job')
    calls.terminateJob(job, 1)
    const until = performance.now() + withinMs
    while (calls.countActive(job) > 0) {
      if (performance.now() > until) throw new Error('a process could not be ended by its job')
      await pause(pauseMs)
    }
    calls.closeHandle(started.process)
    calls.closeHandle(job)
    return {
      name,
      severity: 'ok',
      says: 'Each command can be in a job object, which ends it with all it starts.'
    }
  } catch (error) {
    const says = `Job objects do not work here: ${(error as Error).message}.`
    return { name, severity: 'problem', says, toDo: 'Look for a policy or a sandbox that forbids them.' }
  }
}
