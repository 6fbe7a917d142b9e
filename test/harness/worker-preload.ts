/** Preloaded into the worker: tells the witness which processes have loaded it. */

import { appendFileSync } from 'node:fs'

appendFileSync(process.env.WITNESS as string, `preloaded ${process.pid}\n`)
