// Takes some time, and reports when it is done.
import { writeFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

export async function workerExit() {
  await pause(200)
  writeFileSync(process.env.TOLD, 'done')
}
