/**
 * A worker for PM2 that starts as many subprocesses as its environment says, in its first life alone: the one that PM2
 * starts in its place has nothing to do. It writes its number into a file.
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
