/** The negative controls of the matrix: each of these handlers breaks a law, and must be found out. */

import { spawn } from 'node:child_process'
import { openSync } from 'node:fs'
import { type Handler, usual } from './handlers.js'

export interface Culprit extends Handler {
  /** What is said of it. */
  readonly foundBy: RegExp
  /** It is found out by what never comes. */
  readonly isSlow: boolean
}

const never = (): Promise<never> => new Promise(() => {})
const common = { ...usual, program: 'dies', stages: ['headless'], isSlow: false } as const

export const culprits: readonly Culprit[] = [
  {
    ...common,
    name: 'answers past its framework',
    foundBy: /^expected 503 ERR_SUBPROCESS_DEADLINE, got 200 "wrong"$/,
    async handle(course) {
      course.spawn()
      const { socket } = course.raw
      const answer = (): void => void socket?.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong')
      course.scope.signal.addEventListener('abort', answer, { once: true })
      await never()
    }
  },
  {
    ...common,
    name: 'makes a promise that nobody listens to',
    foundBy: /^unhandledRejection: nobody listens$/,
    async handle(course) {
      course.spawn()
      void Promise.reject(new Error('nobody listens'))
      await never()
    }
  },
  {
    ...common,
    name: 'throws in a listener',
    foundBy: /^uncaughtException: nobody catches$/,
    async handle(course) {
      course.on(course.spawn(), 'exit', () => {
        throw new Error('nobody catches')
      })
      await never()
    }
  },
  {
    ...common,
    name: 'logs two errors',
    foundBy: /^3 lines of error: one; two; /,
    async handle(course) {
      course.spawn()
      for (const line of ['one', 'two']) course.log(line)
      await never()
    }
  },
  {
    ...common,
    name: 'starts a process past its scope',
    foundBy: /^process \d+ is alive$/,
    isSlow: true,
    async handle(course) {
      const { file, args, options } = course.command
      spawn(file, args, { ...options, stdio: 'ignore' })
      await never()
    }
  },
  {
    ...common,
    name: 'leaves a file open',
    foundBy: /^\d+ descriptors are open, \d+ before$/,
    isSlow: true,
    async handle(course) {
      course.spawn()
      openSync('/dev/null', 'r')
      await never()
    }
  }
]
