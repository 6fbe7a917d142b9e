/** The negative controls of the matrix: each of these handlers breaks a law and must be detected. */

import { spawn } from 'node:child_process'
import { openSync } from 'node:fs'
import { type Handler, usual } from './handlers.js'

export interface BadHandler extends Handler {
  /** The violation by which it is detected. */
  readonly foundBy: RegExp
  /** Whether it is detected only because something does not come in time. */
  readonly isSlow: boolean
}

const never = (): Promise<never> => new Promise(() => {})
const common = { ...usual, program: 'dies', stages: ['headless'], isSlow: false } as const

export const badHandlers: readonly BadHandler[] = [
  {
    ...common,
    name: 'answers past its framework',
    foundBy: /^expected 503 ERR_SUBPROCESS_DEADLINE, got 200 "wrong"$/,
    async handle(context) {
      context.spawn()
      const { socket } = context.raw
      const answer = (): void => void socket?.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong')
      context.scope.signal.addEventListener('abort', answer, { once: true })
      await never()
    }
  },
  {
    ...common,
    name: 'makes a promise that nobody listens to',
    foundBy: /^unhandledRejection: nobody listens$/,
    async handle(context) {
      context.spawn()
      void Promise.reject(new Error('nobody listens'))
      await never()
    }
  },
  {
    ...common,
    name: 'throws in a listener',
    foundBy: /^uncaughtException: nobody catches$/,
    async handle(context) {
      context.on(context.spawn(), 'exit', () => {
        throw new Error('nobody catches')
      })
      await never()
    }
  },
  {
    ...common,
    name: 'logs two errors',
    foundBy: /^3 error lines: one; two; /,
    async handle(context) {
      context.spawn()
      for (const line of ['one', 'two']) context.log(line)
      await never()
    }
  },
  {
    ...common,
    name: 'starts a process past its scope',
    foundBy: /^process \d+ is alive$/,
    isSlow: true,
    async handle(context) {
      const { file, args, options } = context.command
      spawn(file, args, { ...options, stdio: 'ignore' })
      await never()
    }
  },
  {
    ...common,
    name: 'leaves a file open',
    foundBy: /^\d+ descriptors are open, \d+ before$/,
    isSlow: true,
    async handle(context) {
      context.spawn()
      openSync('/dev/null', 'r')
      await never()
    }
  }
]
