// Reports its argument to the witness.
import { appendFileSync } from 'node:fs'

const say = (hook) => (info) => appendFileSync(process.env.WITNESS, `${hook} ${JSON.stringify(info)}\n`)

export const workerAbort = say('workerAbort')
export const workerExit = say('workerExit')
