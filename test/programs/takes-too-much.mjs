// Takes more and more of $1 (memory, cpu or processes): in this process, in three children, or in a daemon ($2: one,
// many or daemon).
import { spawn } from 'node:child_process'
import { openSync, writeSync } from 'node:fs'

const [what, shape] = process.argv.slice(2)
const file = process.argv[1]
const witness = openSync(process.env.WITNESS, 'a')
writeSync(witness, `alive ${process.pid} ${what}-${shape}\n`)

function take() {
  if (what === 'cpu') for (;;);
  if (what === 'memory') {
    const taken = []
    setInterval(() => taken.push(Buffer.alloc(8e6, 1)), 5)
    return
  }
  setInterval(() => spawn('sleep', ['1000'], { stdio: ['ignore', 'ignore', 'ignore', witness] }), 5)
}

const stdio = ['ignore', 'ignore', 'inherit']
if (shape === 'one') take()
else if (shape === 'daemon') spawn('setsid', ['-f', process.execPath, file, what, 'one'], { stdio })
else for (let i = 0; i < 3; i++) spawn(process.execPath, [file, what, 'one'], { stdio })
setInterval(() => {}, 1_000)
