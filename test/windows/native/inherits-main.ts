/** Starts a command with its own standard streams. Usage: node inherits-main.js <file> [argument…] */

import { start } from './calls.js'

const [, , file, ...args] = process.argv
process.exitCode = await start(file as string, args, { stdio: ['inherit', 'inherit', 'inherit'] }).exit
