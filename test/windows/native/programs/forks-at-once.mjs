// Its first step is to start a detached process that connects to the witness. Then it ends, or stays if it is told to.
// Usage: node forks-at-once.mjs <pipe of the witness> [stay]
import { spawn } from 'node:child_process'

const [, , witness, stay] = process.argv
const connects = `
  const socket = require('net').connect(process.argv[1], () => socket.write(process.pid + '\\n'))
  socket.on('error', () => {})
`
const child = spawn(process.execPath, ['-e', connects, witness], { detached: true, stdio: 'ignore' })
if (stay === undefined) child.once('spawn', () => process.exit())
