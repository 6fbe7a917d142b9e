/**
 * Runs the tests of Windows: `node.exe build/test/windows/main.js [word …]`. Prints each result, and exits with 1 if
 * one has failed. The package koffi for Windows must be installed.
 */

import './bounds.js'
import './command-line.js'
import './commands.js'
import './faults.js'
import { runTests } from './run-tests.js'

process.exit((await runTests(process.argv.slice(2))) === 0 ? 0 : 1)
