/** Standard streams: named pipes, and what a command inherits. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { buffer, text } from 'node:stream/consumers'
import { suite, test } from 'node:test'
import { calls, library, start, startNode } from './calls.js'
import { openedPipe } from './pipes.js'
import { compiledProgram, program } from './programs.js'

const HANDLE_FLAG_INHERIT = 1
const setHandleInformation = library.declare(
  'int __stdcall SetHandleInformation(intptr_t, uint32_t, uint32_t)'
)

suite('a pipe that the keeper has opened', () => {
  /** Starts Node.js with three pipes. */
  const startWithPipes = async (path: string) => {
    const [input, output, errors] = [await openedPipe(), await openedPipe(), await openedPipe()]
    const stdio = [input.handle, output.handle, errors.handle]
    const { exit } = startNode(path, [], { stdio })
    for (const handle of stdio) calls.closeHandle(handle)
    return { exit, stdin: input.socket, stdout: output.socket, stderr: errors.socket }
  }

  test('carries 10 MB in both directions, their end and the exit code', async () => {
    const { stdin, stdout, stderr, exit } = await startWithPipes(program('copies-input'))
    const input = randomBytes(10_000_000)
    stdin.end(input)
    const [output, errors, code] = await Promise.all([buffer(stdout), text(stderr), exit])
    assert.ok(output.equals(input))
    assert.equal(errors, 'end')
    assert.equal(code, 3)
  })

  test('keeps what a command wrote before its exit', async () => {
    const { stdin, stdout, stderr, exit } = await startWithPipes(program('copies-input'))
    stdin.end('x'.repeat(50_000))
    await exit
    assert.equal((await text(stdout)).length, 50_000)
    assert.equal(await text(stderr), 'end')
  })

  test('ends only with its last holder', async () => {
    const { handle, socket } = await openedPipe()
    const ending = start('cmd.exe', ['/c', 'echo one'], { stdio: ['ignore', handle, 'ignore'] })
    const { handle: input, socket: writer } = await openedPipe()
    const waiting = start('cmd.exe', ['/q'], { stdio: [input, handle, 'ignore'] })
    calls.closeHandle(handle)
    calls.closeHandle(input)
    await ending.exit
    const output = text(socket)
    writer.end('echo two\r\n')
    await waiting.exit
    const lines = await output
    assert.match(lines, /one/)
    assert.match(lines, /two/)
  })

  test('whose reader has closed ends the command that writes', async () => {
    const { stdin, stdout, exit } = await startWithPipes(program('copies-input'))
    stdin.on('error', () => {})
    stdout.destroy()
    stdin.write('x'.repeat(200_000))
    assert.notEqual(await exit, 3)
    stdin.destroy()
  })

  test('is inherited by the command that it was made for, and by no other', async () => {
    const { handle, socket } = await openedPipe()
    library.check('SetHandleInformation', setHandleInformation(handle, HANDLE_FLAG_INHERIT, 1))
    const { handle: input, socket: writer } = await openedPipe()
    const { handle: otherInput, socket: otherWriter } = await openedPipe()
    const holder = start('cmd.exe', ['/q'], { stdio: [input, handle, 'ignore'] })
    const other = start('cmd.exe', ['/q'], { stdio: [otherInput, 'ignore', 'ignore'] })
    for (const each of [handle, input, otherInput]) calls.closeHandle(each)
    writer.end('echo holds\r\n')
    assert.match(await text(socket), /holds/)
    assert.equal(calls.hasEnded(other.process), false)
    otherWriter.end()
    await Promise.all([holder.exit, other.exit])
  })
})

suite('the other streams', () => {
  test('are those of this process', async () => {
    const parent = spawn(process.execPath, [
      compiledProgram('inherits'),
      process.execPath,
      program('copies-input')
    ])
    parent.stdin.end('hello')
    const [output, errors] = await Promise.all([text(parent.stdout), text(parent.stderr)])
    assert.deepEqual([output, errors, parent.exitCode], ['hello', 'end', 3])
  })

  test('or nothing, which can be read and written', async () => {
    assert.equal(await startNode(program('copies-input')).exit, 3)
  })
})
