/**
 * Runs the cells of a batch concurrently on one server, ends them all
 * at once, and checks each against the laws.
 */

import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises'
import { type Asked, ask } from '../client.js'
import { distantMs } from '../deadlines.js'
import { eventually } from '../expectations.js'
import { ExpressServed } from '../express-server.js'
import { kinds } from '../kinds.js'
import type { Served } from '../served.js'
import type { Served as FastifyServed } from '../server.js'
import { badHandlers } from './bad-handlers.js'
import { Cell } from './cell.js'
import { type Batch, nameOf, nobody } from './cells.js'
import { descriptorsOpen, idleDescriptors } from './descriptors.js'
import { type Endable, type Ending, endings, limitedProcesses } from './endings.js'
import { handlers } from './handlers.js'
import { type Hook, hooks } from './hooks.js'
import { type Seen, wrongAnswer } from './laws.js'
import { declareRoutes } from './routes.js'
import { hasStrayErrors, takeStrayErrors } from './stray-errors.js'

/** What is wrong with the cell of that name. */
export interface Violation {
  readonly cell: string
  readonly what: string
}

// Anything that comes at all comes far sooner, even on a busy machine.
// A broken cell must not delay the others.
const answerMs = 15_000
// After so many turns of the loop, all effects of a promise are visible.
const turnsAfter = 20

/** The server and the cells of one batch. */
class Running implements Endable {
  readonly served: Served
  readonly cells: readonly Cell[]
  #closing: Promise<unknown> | undefined

  constructor(served: Served, cells: readonly Cell[]) {
    this.served = served
    this.cells = cells
  }

  get count(): number {
    return this.cells.length
  }

  get keeper(): number {
    return this.served.guard.keeper
  }

  async leave(): Promise<void> {
    for (const { asked } of this.cells) asked.leave()
    await eventually('the server knows that they are gone', () =>
      this.cells.every(({ raw }) => raw?.socket.destroyed)
    )
  }

  throwInHandlers(): void {
    for (const { externalWork } of this.cells) externalWork.reject(new Error('thrown'))
  }

  exceedLimit(): void {
    const line = `for i in $(seq ${limitedProcesses}); do sleep 1000 & done; wait`
    for (const scope of this.served.guard.scopes()) scope.spawn('sh', ['-c', line], { stdio: 'ignore' })
    // Where that has to wait for its place, a command that has one starts them.
    for (const { name, handler } of this.cells) {
      if (handler.program !== 'grows') continue
      for (const { pid } of this.served.witness.announced.filter((one) => one.name === name)) {
        process.kill(pid, 'SIGUSR1')
      }
    }
  }

  shutDown(): void {
    if (this.served instanceof ExpressServed) {
      this.served.server.close()
      this.#closing = this.served.middleware?.close()
    } else {
      this.#closing = (this.served as FastifyServed).app.close()
    }
  }

  async closed(): Promise<void> {
    await this.#closing
  }
}

/** Resolves with all violations. */
export async function runBatch(batch: Batch): Promise<Violation[]> {
  const kind = kinds.find(({ name }) => name === batch.kind)
  const hook = hooks.find(({ name }) => name === batch.hook)
  const ending = endings.find(({ name }) => name === batch.ending)
  if (kind === undefined || hook === undefined || ending === undefined) throw new Error('no such batch')
  const cells = batch.handlers.map((name, index) => {
    const handler = [...handlers, ...badHandlers].find((one) => one.name === name)
    if (handler === undefined) throw new Error(`no such handler: ${name}`)
    return new Cell(handler, index)
  })
  takeStrayErrors()
  const limits = ending.isLimited ? { processes: limitedProcesses } : {}
  const served = await kind.serve({ guard: { timeout: distantMs, limits } }, (served) =>
    declareRoutes(
      served,
      hook,
      cells.map((cell) => cell.route(ending, hook, served))
    )
  )
  const common: string[] = []
  try {
    await endAll(new Running(served, cells), hook, ending, common)
  } finally {
    await served.close()
  }
  await turns()
  for (const { cell: index, text } of takeStrayErrors()) {
    const list = index === undefined ? common : (cells[index]?.violations ?? common)
    list.push(text)
  }
  return [
    ...cells.flatMap(({ handler, violations }) =>
      violations.map((what) => ({ cell: nameOf(batch, handler.name), what }))
    ),
    ...common.map((what) => ({ cell: nameOf(batch, nobody), what }))
  ]
}

async function endAll(running: Running, hook: Hook, ending: Ending, common: string[]): Promise<void> {
  const { served, cells } = running
  const { guard, witness } = served
  await ask(served.port, '/ping').answer
  // The first command opens some descriptors permanently, which is no leak.
  await guard.run({}, (scope) => scope.execFile('true'))
  const descriptors = await idleDescriptors()

  const headers = hook.isCompressed ? { 'accept-encoding': 'gzip' } : {}
  for (const cell of cells) cell.asked = ask(served.port, cell.path, { headers, encoding: 'latin1' })
  await reach(running, ending)
  await ending.end(running)
  await Promise.all(
    cells.map(async ({ handler, asked, gate, violations }) => {
      const wrong = wrongAnswer(handler, ending, ending.expected === 'none' ? 'nothing' : await seenBy(asked))
      if (wrong !== undefined) violations.push(wrong)
      gate.resolve()
    })
  )
  await turns()
  // What still hangs is irrelevant from here on.
  for (const { asked } of cells) asked.leave()
  if (!(await witness.goneWithin(answerMs))) {
    for (const { name, pid } of witness.living()) {
      const cell = cells.find((one) => one.name === name)
      const list = cell?.violations ?? common
      list.push(`process ${pid} is alive`)
    }
    if (witness.living().length === 0) common.push('a process is alive')
  }
  // Lets handlers go on whose request has ended long ago.
  for (const { externalWork } of cells) externalWork.resolve()
  await turns()
  await running.closed()

  if (!(await becomes(() => guard.scopes().length === 0))) {
    common.push(`scopes are open: ${guard.scopes().map(({ id, reason }) => `${id} ${reason}`)}`)
  }
  if (!ending.closes) {
    const { body } = await ask(served.port, '/ping').answer
    if (body !== 'pong') common.push(`/ping is answered with ${body}`)
  }
  // If an error has bypassed all listeners, what these would have closed may be open.
  if (!hasStrayErrors() && !(await becomes(() => descriptorsOpen() <= descriptors))) {
    common.push(`${descriptorsOpen()} descriptors are open, ${descriptors} before`)
  }
  for (const cell of cells) {
    const lines = cell.errorLines(served.log)
    if (lines.length > 1) cell.violations.push(`${lines.length} error lines: ${lines.join('; ')}`)
  }
}

/** Resolves when every request has reached the stage of that ending. */
async function reach({ served, cells }: Running, { stage }: Ending): Promise<void> {
  if (stage === 'unstarted') {
    await eventually('every handler is called', () => cells.every(({ raw }) => raw !== undefined))
    return
  }
  await eventually('every command runs', () =>
    cells.every(({ name, handler }) => {
      const count = served.witness.announced.filter((one) => one.name === name).length
      return count >= handler.commands
    })
  )
  if (stage === 'begun') {
    let begun = 0
    for (const { asked } of cells) void asked.head.then(() => begun++)
    await eventually('every answer has begun', () => begun === cells.length)
  }
  if (stage === 'answer') for (const { externalWork } of cells) externalWork.resolve()
}

async function seenBy({ answer }: Asked): Promise<Seen> {
  const timeout = new AbortController()
  const nothing = pause(answerMs, 'nothing' as const, { signal: timeout.signal }).catch(
    () => 'nothing' as const
  )
  const seen = answer.catch((error: NodeJS.ErrnoException) => ({ error: error.code ?? error.message }))
  try {
    return await Promise.race([seen, nothing])
  } finally {
    timeout.abort()
  }
}

async function becomes(isSo: () => boolean): Promise<boolean> {
  try {
    await eventually('', isSo, answerMs)
    return true
  } catch {
    return false
  }
}

async function turns(): Promise<void> {
  for (let i = 0; i < turnsAfter; i++) await turn()
}
