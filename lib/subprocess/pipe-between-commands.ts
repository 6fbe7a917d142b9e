/** Streams of one command as standard streams of another: `spawn('wc', { stdio: [ls.stdout, 'pipe'] })`. */

import { ownOf } from '../validate-option.js'
import type { SpawnOptions, StdioEntry } from './spawn-options.js'
import { InputSocket, OutputSocket } from './stdio-sockets.js'
import type { Subprocess } from './subprocess.js'

/** For each descriptor, the stream of the other command; undefined if it is another entry. */
type StreamsOfCommands = readonly (InputSocket | OutputSocket | undefined)[]

const names = ['stdin', 'stdout', 'stderr'] as const

/**
 * Replaces streams of other commands in `stdio` by `'pipe'`, and returns these streams for `connectStreams`.
 * The new command cannot inherit the connection itself: the worker may already have read from it.
 */
export function extractStreams(options: SpawnOptions): {
  readonly options: SpawnOptions
  readonly streams: StreamsOfCommands
} {
  const { stdio } = options
  const streams = Array.isArray(stdio) ? (stdio as StdioEntry[]).map(streamOfCommand) : []
  if (streams.every((stream) => stream === undefined)) return { options, streams: [] }
  const piped = (stdio as StdioEntry[]).map((entry, descriptor) => (streams[descriptor] ? 'pipe' : entry))
  return { options: ownOf({ ...options, stdio: piped }), streams }
}

function streamOfCommand(entry: StdioEntry, descriptor: number): InputSocket | OutputSocket | undefined {
  const isOfCommand = entry instanceof (descriptor === 0 ? OutputSocket : InputSocket)
  // Node reports the error for a destroyed stream.
  return isOfCommand && !entry.destroyed && descriptor < names.length ? entry : undefined
}

/**
 * Pipes the streams to and from the command's own. As with `child_process`, the user sees
 * null in place of the command's own streams.
 */
export function connectStreams(child: Subprocess, streams: StreamsOfCommands): void {
  for (const [descriptor, stream] of streams.entries()) {
    const name = names[descriptor]
    const own = child.stdio[descriptor]
    if (stream === undefined || name === undefined) continue
    if (stream instanceof OutputSocket) pipeToInput(stream, own as InputSocket)
    else pipeFromOutput(stream, own as OutputSocket)
    Object.assign(child, { [name]: null })
    Object.assign(child.stdio, { [descriptor]: null })
  }
}

/** The command reads the other one's output. When it no longer reads, the rest is for the output's user. */
function pipeToInput(output: OutputSocket, input: InputSocket): void {
  // EPIPE: the command no longer reads.
  input.on('error', () => {})
  output.pipe(input)
  output.once('close', () => input.end())
}

/**
 * The command writes to the other one's input. Others may write to it too, so its user has to end it. When
 * the other command no longer reads, the next write of this command fails with EPIPE.
 */
function pipeFromOutput(input: InputSocket, output: OutputSocket): void {
  output.pipe(input, { end: false })
  input.once('close', () => output.destroy())
}
