/** What a user does to a stream before the command is there concerns the stream, not the start (FAULTS 77). */

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { pipeline, type Readable, Writable } from 'node:stream'
import { suite, test } from 'node:test'
import { eventsOf, forEachLauncher } from './harness/launchers.js'

type Stream = Readable | Writable

const names = ['stdin', 'stdout', 'stderr'] as const

/** As the system says it of a connection that is gone; here, of another one. */
function reset(syscall: string): Error {
  return Object.assign(new Error(`${syscall} ECONNRESET`), { code: 'ECONNRESET', syscall })
}

const acts: Record<string, (stream: Stream) => void> = {
  'is destroyed': (stream) => void stream.destroy(),
  'is destroyed with an error': (stream) => void stream.destroy(new Error('of the user')),
  'gets the error of another connection': (stream) => void stream.destroy(reset('read')),
  'is in a pipeline that fails': (stream) => {
    if (stream instanceof Writable) pipeline(createReadStream('/no-such-file'), stream, () => {})
    else pipeline(stream, failing(), () => {})
  },
  'is written to after its end': (stream) => {
    if (!(stream instanceof Writable)) return
    stream.end()
    stream.write('late')
  }
}

function failing(): Writable {
  const writable = new Writable()
  writable.destroy(Object.assign(new Error('open ENOENT'), { code: 'ENOENT', syscall: 'open' }))
  return writable
}

const moments: Record<string, (act: () => void) => void> = {
  'at once': (act) => act(),
  'in the next tick': (act) => process.nextTick(act),
  'one turn later': (act) => void setImmediate(act),
  'two turns later': (act) => void setImmediate(() => setImmediate(act)),
  'some time later': (act) => void setTimeout(act, 2)
}

forEachLauncher((launcher) => {
  for (const [what, act] of Object.entries(acts)) {
    suite(`a stream that ${what} leaves the start alone`, () => {
      for (const [when, at] of Object.entries(moments)) {
        test(when, async () => {
          const runs = names.map(async (name) => {
            const child = launcher.spawn('sh', ['-c', 'exec >/dev/null 2>&1; cat; exit 5'])
            const events = eventsOf(child)
            for (const stream of streamsOf(child)) stream.on('error', () => {})
            at(() => {
              const stream = child[name] as Stream & { destroyed: boolean }
              // The command closes its output: by then that may have gone by itself.
              if (!stream.destroyed) act(stream)
              if (name !== 'stdin') child.stdin?.end()
            })
            child.stdout?.resume()
            child.stderr?.resume()
            return [name, await events]
          })
          const started = [['spawn'], ['exit', 5, null], ['close', 5, null]]
          assert.deepEqual(
            await Promise.all(runs),
            names.map((name) => [name, started])
          )
        })
      }
    })
  }
})

function streamsOf({ stdin, stdout, stderr }: ChildProcess): Stream[] {
  return [stdin, stdout, stderr].filter((stream) => stream !== null)
}
