// Fails in the way that its query names.
import { createServer } from 'node:net'

const how = new URL(import.meta.url).searchParams.get('how')

const ways = {
  throws() {
    throw new TypeError('no such pager', { cause: new Error('no such user') })
  },
  async rejects() {
    throw new Error('no such pager')
  },
  async 'rejects-elsewhere'() {
    Promise.reject(new Error('no such pager'))
    await new Promise((resolve) => setTimeout(resolve, 60_000))
  },
  async 'throws-elsewhere'() {
    setTimeout(() => {
      throw new Error('no such pager')
    })
    await new Promise((resolve) => setTimeout(resolve, 60_000))
  },
  loops() {
    for (;;);
  },
  'waits-for-ever': () => new Promise(() => setInterval(() => {}, 60_000)),
  'waits-for-nothing': () => new Promise(() => {}),
  exits() {
    process.exit(3)
  },
  'ends-itself'() {
    process.kill(process.pid, 'SIGKILL')
  },
  // One allocation that fails: in a thread, it aborts the process.
  'exhausts-heap'() {
    const hoard = []
    for (;;) hoard.push(new Array(10_000_000).fill(1))
  },
  'hoards-objects'() {
    const hoard = new Map()
    for (let i = 0; ; i++) hoard.set(i, { i })
  },
  'leaves-open'() {
    setInterval(() => {}, 60_000)
    createServer().listen()
  },
  chats() {
    for (let line = 0; line < 20_000; line++) console.log(`line ${line} ${'x'.repeat(80)}`)
    console.error('done')
  }
}

export const workerExit = ways[how]
