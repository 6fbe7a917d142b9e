/** Entry of the hook process: loads a module, runs a hook of it if requested, sends the result, and exits. */

import { setTimeout as pause } from 'node:timers/promises'
import { inspect } from 'node:util'
import type { HookName, HookRequest, HookResult } from './run-hook-process.js'

const names: readonly HookName[] = ['workerAbort', 'workerExit']
// An error with a chain of causes may be of any length. The text becomes one line of a log.
const maxWhyLength = 4_000
const checkMs = 10

type Exports = Record<string, unknown>

// The keeper is gone, and nothing else would end this process.
process.once('disconnect', () => process.exit())
process.once('message', (request) => void handle(request as HookRequest))
process.on('uncaughtException', (error) => sendResult({ type: 'failed', why: format(error) }))
process.on('beforeExit', () => {
  sendResult({ type: 'failed', why: 'its promise can never settle: the event loop is empty' })
})

async function handle(request: HookRequest): Promise<void> {
  // If the hook waits for nothing, the event loop must become empty, so that 'beforeExit' is emitted.
  process.channel?.unref()
  try {
    const owners = ownersOf(await load(request.url))
    if (request.type === 'run') await owners.get(request.hook)?.[request.hook](request.info)
    await childrenExited()
    sendResult({ type: 'done', hooks: [...owners.keys()] })
  } catch (error) {
    sendResult({ type: 'failed', why: error instanceof UnusableModuleError ? error.message : format(error) })
  }
}

/** The module cannot be used. The message is enough: the stack of this error is not helpful. */
class UnusableModuleError extends Error {}

async function load(url: string): Promise<Exports> {
  try {
    return await import(url)
  } catch (error) {
    throw new UnusableModuleError(`it cannot be loaded: ${format(error)}`)
  }
}

/** The hooks of a module, each with the object that it is a method of. */
function ownersOf(module: Exports): Map<HookName, Record<HookName, (info: unknown) => unknown>> {
  const owners = new Map()
  for (const name of names) {
    // For a CommonJS module, Node only names the exports that it detects without running the module.
    const owner = module[name] === undefined ? (module.default as Exports | null | undefined) : module
    const hook = owner?.[name]
    if (hook === undefined) continue
    if (typeof hook !== 'function')
      throw new UnusableModuleError(`its ${name} is ${inspect(hook)} and not a function`)
    owners.set(name, owner)
  }
  if (owners.size === 0) throw new UnusableModuleError(`it exports neither ${names.join(' nor ')}`)
  return owners
}

/** Waits for the hook's own children: the keeper ends whatever is left when this process exits. */
async function childrenExited(): Promise<void> {
  while (process.getActiveResourcesInfo().includes('ProcessWrap')) await pause(checkMs)
}

let isSent = false

function sendResult(result: HookResult): void {
  if (isSent) return
  isSent = true
  // Exits explicitly: timers, servers and threads of the hook may still be open. Its 'exit' handlers run.
  process.send?.(result, undefined, undefined, () => void outputFlushed().then(() => process.exit()))
}

/** Output that is still buffered would be lost at the exit. */
function outputFlushed(): Promise<unknown> {
  const streams = [process.stdout, process.stderr]
  // After an error, nothing will read the output.
  return Promise.all(
    streams.map((stream) => new Promise<void>((resolve) => stream.write('', () => resolve())))
  )
}

function format(error: unknown): string {
  const text = inspect(error)
  return text.length > maxWhyLength ? `${text.slice(0, maxWhyLength)}…` : text
}
