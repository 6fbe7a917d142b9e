/** Pipes of a command: its own end, which blocks, and that of the worker. */

import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { calls, library } from './calls.js'
import { pipeName } from './witness.js'

// winnt.h, fileapi.h
const GENERIC_READ_WRITE = 0xc000_0000
const OPEN_EXISTING = 3

export interface PipeEnds {
  /** For a command to inherit. */
  readonly handle: number
  readonly socket: Socket
}

/** The worker listens on the pipe, and the keeper opens it. */
export async function openedPipe(): Promise<PipeEnds> {
  const name = pipeName()
  const server = createServer().listen(name)
  await once(server, 'listening')
  const open = library.declare(
    'intptr_t __stdcall CreateFileW(const char16_t *, uint32_t, uint32_t, void *, uint32_t, uint32_t, intptr_t)'
  )
  const handle = open(name, GENERIC_READ_WRITE, 0, null, OPEN_EXISTING, 0, 0)
  const [socket] = await once(server, 'connection')
  server.close()
  return { handle, socket }
}

/** The input of a command that waits until it is closed. */
export async function openInput(): Promise<{ readonly handle: number; close(): void }> {
  const { handle, socket } = await openedPipe()
  const close = (): void => {
    calls.closeHandle(handle)
    socket.destroy()
  }
  return { handle, close }
}
