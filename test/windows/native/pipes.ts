/** Pipes of a command: its own end, which blocks, and that of the worker. */

import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { calls } from './calls.js'
import { pipeName } from './witness.js'

export interface PipeEnds {
  /** For a command to inherit. */
  readonly handle: number
  /** Closes that handle. */
  readonly close: () => void
  readonly socket: Socket
}

/** The keeper makes the pipe, and the worker connects. */
export async function connectedPipe(): Promise<PipeEnds> {
  const name = pipeName()
  const descriptor = calls.makePrivatePipe(name)
  const socket = connect({ path: name, allowHalfOpen: true })
  await once(socket, 'connect')
  return { handle: calls.handleOf(descriptor), close: () => closeSync(descriptor), socket }
}

/** The input of a command that waits until it is closed. */
export async function openInput(): Promise<{ readonly handle: number; close(): void }> {
  const { handle, close, socket } = await connectedPipe()
  const closeBoth = (): void => {
    close()
    socket.destroy()
  }
  return { handle, close: closeBoth }
}
