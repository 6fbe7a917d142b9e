// A worker of workerpool that announces itself to the witness, and holds its pipe open as long as it lives.
import { openSync, writeSync } from 'node:fs'
import workerpool from 'workerpool'

writeSync(openSync(process.env.WITNESS, 'a'), `alive ${process.pid} pool-worker\n`)
workerpool.worker({ pid: () => process.pid, crash: () => process.kill(process.pid, 'SIGKILL') })
