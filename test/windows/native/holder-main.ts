/** Holds a job with a tree in it, until it is ended itself. Usage: node holder-main.js <pipe of the witness> */

import { calls, startNode } from './calls.js'
import { program } from './programs.js'

const job = calls.createJob()
startNode(program('tree'), [process.argv[2] as string], { job })
setInterval(() => {}, 60_000)
