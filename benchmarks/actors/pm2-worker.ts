/**
 * A PM2 worker that starts WORKER_SUBPROCESSES subprocesses and writes its pid to WORKER_FILE. If the file
 * exists, PM2 has restarted the worker: then it does nothing.
 */

import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { sleeper } from '../harness/sleepers.js'

const { WORKER_FILE = '', WORKER_SUBPROCESSES = '' } = process.env

if (!existsSync(WORKER_FILE)) {
  writeFileSync(WORKER_FILE, String(process.pid))
  for (let number = 0; number < Number(WORKER_SUBPROCESSES); number++) {
    spawn('sh', sleeper, { stdio: 'ignore' })
  }
}
setInterval(() => {}, 60_000)
