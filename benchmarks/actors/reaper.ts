/**
 * Reaps children as a keeper does, with its own code: by wait4(2) and with their usage in the message to the worker,
 * or by waitpid(2) and without.
 */

import { performance } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import koffi from 'koffi'
import type * as MemoryModule from '../../lib/containment/own-memory.js'
import type * as ReapedModule from '../../lib/containment/reaped-usage.js'
import type * as AccountModule from '../../lib/containment/usage-account.js'
import type * as BufferModule from '../../lib/platform/linux/resource-usage-buffer.js'
import type * as FramingModule from '../../lib/wire/framing.js'
import type { KeeperMessage } from '../../lib/wire/messages.js'
import { compiled } from '../../test/harness/compiled.js'
import { act } from '../harness/actor.js'
import { ensure } from '../harness/benchmark.js'
import { statOf } from '../harness/processes.js'

const WNOHANG = 1 // linux/wait.h
const program = '/bin/true'

const { ResourceUsageBuffer }: typeof BufferModule = await compiled('platform/linux/resource-usage-buffer')
const { noteReaped }: typeof ReapedModule = await compiled('containment/reaped-usage')
const { withoutOwnMemory }: typeof MemoryModule = await compiled('containment/own-memory')
const { UsageAccount }: typeof AccountModule = await compiled('containment/usage-account')
const { encode, Decoder }: typeof FramingModule = await compiled('wire/framing')

const library = koffi.load(null)
const posixSpawn = library.func(
  'int posix_spawn(_Out_ int *, const char *, void *, void *, const char **, const char **)'
)
const wait4 = library.func('int wait4(int, void *, int, void *)')
const waitpid = library.func('int waitpid(int, void *, int)')
const status = new Int32Array(1)
const resourceUsage = new ResourceUsageBuffer()

/** Starts a child without Node, which would reap it. */
function start(): number {
  const pid: [number] = [0]
  const error = posixSpawn(pid, program, null, null, [program, null], [null])
  ensure(error === 0, `posix_spawn has failed with errno ${error}`)
  return pid[0]
}

async function startEnded(count: number): Promise<number[]> {
  const pids = Array.from({ length: count }, start)
  while (!pids.every((pid) => statOf(pid)?.state === 'Z')) await pause(5)
  return pids
}

type Ended = Extract<KeeperMessage, { type: 'exited' }>
type Reap = (id: number, account: AccountModule.UsageAccount) => Ended | undefined

const reapers: Record<'wait4' | 'waitpid', Reap> = {
  wait4(id, account) {
    if (wait4(-1, status, WNOHANG, resourceUsage.buffer) <= 0) return undefined
    const read = resourceUsage.read()
    if (read === undefined) return undefined
    noteReaped(read)
    const usage = withoutOwnMemory(read)
    account.add(usage)
    return { type: 'exited', id, code: (status[0] as number) >> 8, signal: null, usage }
  },
  waitpid(id) {
    if (waitpid(-1, status, WNOHANG) <= 0) return undefined
    return { type: 'exited', id, code: (status[0] as number) >> 8, signal: null }
  }
}

act({
  /**
   * Reaps that many ended children and passes a message about each through an encoder and a decoder. Resolves with
   * the time for each, in ms.
   */
  async reap(how: keyof typeof reapers, count: number) {
    await startEnded(count)
    const account = new UsageAccount()
    const decoder = new Decoder<Ended>()
    let told = 0
    const startedAt = performance.now()
    for (let id = 0; id < count; id++) {
      const ended = reapers[how](id, account)
      ensure(ended?.code === 0, `a child ended with ${ended?.code}`)
      const [received] = decoder.decode(Buffer.from(encode(ended as Ended)))
      if (received?.usage !== undefined) told++
    }
    const ms = performance.now() - startedAt
    ensure(told === (how === 'wait4' ? count : 0), `${told} of ${count} messages have a usage`)
    return ms / count
  }
})
