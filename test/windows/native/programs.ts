/** The programs that tests start. */

import { fileURLToPath } from 'node:url'

const folder = new URL('../../../../test/windows/native/programs/', import.meta.url)

/** The path of a program for Node.js. */
export function program(name: string): string {
  return fileURLToPath(new URL(`${name}.mjs`, folder))
}

/** The path of a compiled program for Node.js, which may use what the tests use. */
export function compiledProgram(name: string): string {
  return fileURLToPath(new URL(`${name}-main.js`, import.meta.url))
}
