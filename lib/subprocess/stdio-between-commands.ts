/** A stream of one command as a standard stream of another: `spawn('wc', { stdio: [ls.stdout, 'pipe'] })`. */

import { ownOf } from '../validate-option.js'
import type { SpawnOptions, StdioEntry } from './command.js'
import { InputSocket, OutputSocket } from './stdio-sockets.js'
import type { Subprocess } from './subprocess.js'

/** The stream for each descriptor; undefined for every other entry. */
type Joints = readonly (InputSocket | OutputSocket | undefined)[]

const names = ['stdin', 'stdout', 'stderr'] as const

/**
 * The options with `'pipe'` in the place of streams of other commands, and these streams, for `join`. Of a command that the keeper has
 * started the worker may have read by now, so that the other one cannot have the connection itself.
 */
export function splitJoints(options: SpawnOptions): {
  readonly options: SpawnOptions
  readonly joints: Joints
} {
  const { stdio } = options
  const joints = Array.isArray(stdio) ? (stdio as StdioEntry[]).map(jointOf) : []
  if (joints.every((joint) => joint === undefined)) return { options, joints: [] }
  const piped = (stdio as StdioEntry[]).map((entry, descriptor) => (joints[descriptor] ? 'pipe' : entry))
  return { options: ownOf({ ...options, stdio: piped }), joints }
}

function jointOf(entry: StdioEntry, descriptor: number): InputSocket | OutputSocket | undefined {
  const isJoint = entry instanceof (descriptor === 0 ? OutputSocket : InputSocket)
  // Of one that has been destroyed, Node says what is wrong.
  return isJoint && !entry.destroyed && descriptor < names.length ? entry : undefined
}

/** Leads the streams to, and from, those of the command, which its user does not see, as with `child_process`. */
export function join(child: Subprocess, joints: Joints): void {
  for (const [descriptor, joint] of joints.entries()) {
    const name = names[descriptor]
    const own = child.stdio[descriptor]
    if (joint === undefined || name === undefined) continue
    if (joint instanceof OutputSocket) leadFrom(joint, own as InputSocket)
    else leadTo(joint, own as OutputSocket)
    Object.assign(child, { [name]: null })
    Object.assign(child.stdio, { [descriptor]: null })
  }
}

/** The command reads the output of the other one. When it reads no more, that is its user's again. */
function leadFrom(output: OutputSocket, input: InputSocket): void {
  // EPIPE: it reads no more.
  input.on('error', () => {})
  output.pipe(input)
  output.once('close', () => input.end())
}

/** The command writes to the other one, and others may, too: its user ends that. When it reads no more, the command is told. */
function leadTo(input: InputSocket, output: OutputSocket): void {
  output.pipe(input, { end: false })
  input.once('close', () => output.destroy())
}
