// A tree of four that live, each connected to the witness. The second of five ends as soon as it has started the third, which is detached.
// Usage: node tree.mjs <pipe of the witness>
import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'

const [, , witness, level = '1'] = process.argv
const generation = Number(level)
if (generation < 5) {
  const args = [fileURLToPath(import.meta.url), witness, String(generation + 1)]
  const next = spawn(process.execPath, args, { stdio: 'ignore', detached: generation === 2 })
  next.unref()
  if (generation === 2) next.once('spawn', () => process.exit())
}
if (generation !== 2) {
  const socket = connect(witness, () => socket.write(`${process.pid}\n`))
  socket.on('error', () => {})
}
