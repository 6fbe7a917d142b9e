/** Samples the stack of the main thread by the inspector, which can interrupt it anywhere in JavaScript. */

import type { Debugger, Session } from 'node:inspector'
import pTimeout from 'p-timeout'
import type { StackSample } from '../wire/stack-sample.js'
import { whatMainThreadDoes } from './main-thread-wait.js'
import { routeOf } from './route-on-stack.js'

const answersWithinMs = 400
// Once the main thread answers, it can be paused. That takes about 10 ms; with thousands of modules or
// frames, a second. A caller that allows more time for the answer expects a busy machine: the pause gets the
// same time.
const pausesWithinMs = 2_000
// Each frame costs a round trip between two threads: a few ms in all, unless the machine is busy.
const routeWithinMs = 500
const resumesWithinMs = 100
const maxFrames = 50

interface Pause {
  /** The innermost frame first. */
  readonly frames: readonly Debugger.CallFrame[]
  /** The URL of each script, by its id. Node 20 does not include it in the frames. */
  readonly urls: ReadonlyMap<string, string>
}

/**
 * Where the main thread is. It is paused for a few ms and then continues. A main thread that runs no
 * JavaScript does not answer in time and is left alone: the end of the session discards what it was asked.
 */
export async function sampleMainThread(withinMs = answersWithinMs): Promise<StackSample> {
  // Not imported: the keeper is in the same file, and must run on a Node without an inspector.
  const inspector = process.getBuiltinModule('node:inspector')
  const session = new inspector.Session()
  try {
    session.connectToMainThread()
    const answers = new Promise<void>((resolve) => session.post('Schema.getDomains', () => resolve()))
    return (await isInTime(answers, withinMs))
      ? await pauseAndSample(session, Math.max(pausesWithinMs, withinMs))
      : runsNoJavaScript()
  } catch (error) {
    return { type: 'unknown', why: `the inspector failed: ${(error as Error).message}` }
  } finally {
    // Discards requests that were not answered, also one to pause.
    session.disconnect()
  }
}

async function pauseAndSample(session: Session, withinMs: number): Promise<StackSample> {
  const pause = await pTimeout(pauseMainThread(session), {
    milliseconds: withinMs,
    fallback: () => undefined
  })
  if (pause === undefined) {
    const why = `the main thread did not pause for a stack sample within ${withinMs} ms: ${whatMainThreadDoes()}`
    return { type: 'unknown', why }
  }
  if (pause === 'held') return { type: 'paused' }
  const route = await pTimeout(routeOf(session, pause.frames), {
    milliseconds: routeWithinMs,
    fallback: () => undefined
  })
  await pTimeout(resume(session), { milliseconds: resumesWithinMs, fallback: () => undefined })
  return { type: 'stack', stack: textOf(pause), ...(route === undefined ? {} : { route }) }
}

/**
 * Resolves with the frames at which the main thread was paused, or with `held` if a debugger has paused it
 * already.
 */
function pauseMainThread(session: Session): Promise<Pause | 'held'> {
  const urls = new Map<string, string>()
  session.on('Debugger.scriptParsed', ({ params: { scriptId, url } }) => urls.set(scriptId, url))
  return new Promise((resolve, reject) => {
    let isPauseOurs = false
    session.once('Debugger.paused', ({ params: { callFrames, hitBreakpoints = [] } }) => {
      // We set no breakpoints: one that was just hit belongs to the user of a debugger.
      resolve(isPauseOurs && hitBreakpoints.length === 0 ? { frames: callFrames, urls } : 'held')
    })
    // Enabled for the sample only: the debugger slows the main thread down.
    session.post('Debugger.enable', (error) => {
      if (error !== null) return reject(error)
      // A pause that existed before is reported ahead of this answer. A later one is ours, even at a
      // `debugger` statement: without this session the thread would not have paused there.
      isPauseOurs = true
      session.post('Debugger.pause')
    })
  })
}

/**
 * Resumes explicitly. The end of the session is not enough: while another debugger is attached, the main
 * thread would stay paused. The next sample must not begin before, or it would take our own pause for that of
 * a debugger.
 */
function resume(session: Session): Promise<void> {
  return new Promise((resolve) => {
    session.once('Debugger.resumed', () => resolve())
    // With a session attached, the main thread would pause at the next `debugger` statement.
    session.post('Debugger.setSkipAllPauses', { skip: true })
    session.post('Debugger.resume')
  })
}

function isInTime(event: Promise<void>, milliseconds: number): Promise<boolean> {
  const happened = event.then(() => true)
  return pTimeout(happened, { milliseconds, fallback: () => false })
}

function runsNoJavaScript(): StackSample {
  return { type: 'unknown', why: `the main thread runs no JavaScript: ${whatMainThreadDoes()}` }
}

/** The frames, formatted like the stack of an Error. */
function textOf({ frames, urls }: Pause): string {
  const lines = frames.slice(0, maxFrames).map(({ functionName, location }) => {
    const { scriptId, lineNumber, columnNumber = 0 } = location
    // The inspector counts lines and columns from 0.
    const place = `${urls.get(scriptId) || '<anonymous>'}:${lineNumber + 1}:${columnNumber + 1}`
    return functionName === '' ? `    at ${place}` : `    at ${functionName} (${place})`
  })
  const others = frames.length - lines.length
  return [...lines, ...(others > 0 ? [`    and ${others} frames more`] : [])].join('\n')
}
