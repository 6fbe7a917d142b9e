/**
 * What happens to a stream of a command before 'spawn' affects that stream only, not the start of the command
 * (fault 77 in docs/faults.md).
 */

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { pipeline, type Readable, Writable } from 'node:stream'
import { suite, test } from 'node:test'
import { eventsOf, forEachLauncher } from './harness/launchers.js'

type Stream = Readable | Writable

const names = ['stdin', 'stdout', 'stderr'] as const

/** The error that Node reports for a reset connection. */
function connectionReset(syscall: string): Error {
  return Object.assign(new Error(`${syscall} ECONNRESET`), { code: 'ECONNRESET', syscall })
}

const acts: Record<string, (stream: Stream) => void> = {
  'is destroyed': (stream) => void stream.destroy(),
  'is destroyed with an error': (stream) => void stream.destroy(new Error('of the user')),
  'gets the error of another connection': (stream) => void stream.destroy(connectionReset('read')),
  'is in a pipeline that fails': (stream) => {
    if (stream instanceof Writable) pipeline(createReadStream('/no-such-file'), stream, () => {})
    else pipeline(stream, failingWritable(), () => {})
  },
  'is written to after its end': (stream) => {
    if (!(stream instanceof Writable)) return
    stream.end()
    stream.write('late')
  }
}

function failingWritable(): Writable {
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
    suite(`a stream that ${what} does not affect the start`, () => {
      for (const [when, at] of Object.entries(moments)) {
        test(when, async () => {
          const runs = names.map(async (name) => {
            const child = launcher.spawn('sh', ['-c', 'exec >/dev/null 2>&1; cat; exit 5'])
            const events = eventsOf(child)
            for (const stream of streamsOf(child)) stream.on('error', () => {})
            at(() => {
              const stream = child[name] as Stream & { destroyed: boolean }
              // The command closes its output, so these streams may already be destroyed.
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
