// Writes down what it was given, and what it finds around it.
import { writeFile } from 'node:fs/promises'

const tell = (hook) => async (info) => {
  const { SUBPROCESS_GUARD_KEEPER: keeper } = process.env
  const around = { cwd: process.cwd(), given: process.env.GIVEN, keeper, pid: process.pid }
  await writeFile(process.env.TOLD, JSON.stringify({ hook, info, around }))
}
export const workerAbort = tell('workerAbort')
export const workerExit = tell('workerExit')
