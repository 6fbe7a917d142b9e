/** A module that is preloaded into the worker: it says which processes have loaded it. */

import { appendFileSync } from 'node:fs'

appendFileSync(process.env.WITNESS as string, `preloaded ${process.pid}\n`)
