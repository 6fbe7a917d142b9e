/** Entry of the process of a hook: loads the module, runs the hook where that is asked, answers, and ends. */

import { setTimeout as pause } from 'node:timers/promises'
import { inspect } from 'node:util'
import type { HookAnswer, HookName, HookOrder } from './run-hook.js'

const names: readonly HookName[] = ['workerAbort', 'workerExit']
// A cause in a cause in a cause may be of any length; this goes into one line of a log.
const longestWhy = 4_000
const lookMs = 10

type Exports = Record<string, unknown>

// The keeper is gone: nobody ends this process any more.
process.once('disconnect', () => process.exit())
process.once('message', (order) => void obey(order as HookOrder))
process.on('uncaughtException', (error) => answer({ type: 'failed', why: show(error) }))
process.on('beforeExit', () => {
  answer({ type: 'failed', why: 'its promise can never settle: nothing is left that could settle it' })
})

async function obey(order: HookOrder): Promise<void> {
  // So that the loop ends, and 'beforeExit' comes, when the hook waits for nothing.
  process.channel?.unref()
  try {
    const owners = ownersOf(await load(order.url))
    if (order.type === 'run') await owners.get(order.hook)?.[order.hook](order.info)
    await childrenEnded()
    answer({ type: 'done', hooks: [...owners.keys()] })
  } catch (error) {
    answer({ type: 'failed', why: error instanceof Unfit ? error.message : show(error) })
  }
}

/** A module that cannot be used. Its message says all: where it was thrown is of no interest. */
class Unfit extends Error {}

async function load(url: string): Promise<Exports> {
  try {
    return await import(url)
  } catch (error) {
    throw new Unfit(`it cannot be loaded: ${show(error)}`)
  }
}

/** The hooks of a module, each with the object that it is a method of. */
function ownersOf(module: Exports): Map<HookName, Record<HookName, (info: unknown) => unknown>> {
  const owners = new Map()
  for (const name of names) {
    // Of a CommonJS module Node names only those exports that it can tell without running it.
    const owner = module[name] === undefined ? (module.default as Exports | null | undefined) : module
    const hook = owner?.[name]
    if (hook === undefined) continue
    if (typeof hook !== 'function') throw new Unfit(`its ${name} is ${inspect(hook)} and not a function`)
    owners.set(name, owner)
  }
  if (owners.size === 0) throw new Unfit(`it exports neither ${names.join(' nor ')}`)
  return owners
}

/** What the hook has started and not waited for: it would end with this process, its work half done. */
async function childrenEnded(): Promise<void> {
  while (process.getActiveResourcesInfo().includes('ProcessWrap')) await pause(lookMs)
}

let isAnswered = false

function answer(text: HookAnswer): void {
  if (isAnswered) return
  isAnswered = true
  // Timers, servers and threads that the hook has left open end with the process, after its 'exit' handlers.
  process.send?.(text, undefined, undefined, () => void written().then(() => process.exit()))
}

/** What the hook has printed and nobody has taken yet would be lost with this process. */
function written(): Promise<unknown> {
  const streams = [process.stdout, process.stderr]
  // An error means that nobody will take it.
  return Promise.all(
    streams.map((stream) => new Promise<void>((resolve) => stream.write('', () => resolve())))
  )
}

function show(error: unknown): string {
  const text = inspect(error)
  return text.length > longestWhy ? `${text.slice(0, longestWhy)}…` : text
}
