/** Standard streams: named pipes, and what a command inherits. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync } from 'node:fs'
import { buffer, text } from 'node:stream/consumers'
import { suite, test } from 'node:test'
import { calls, library, start, startNode } from './calls.js'
import { connectedPipe } from './pipes.js'
import { compiledProgram, program } from './programs.js'
import { pipeName } from './witness.js'

const HANDLE_FLAG_INHERIT = 1
// accctrl.h, winnt.h, sddl.h
const SE_KERNEL_OBJECT = 6
const DACL_SECURITY_INFORMATION = 4
const SDDL_REVISION_1 = 1
const setHandleInformation = library.declare(
  'int __stdcall SetHandleInformation(intptr_t, uint32_t, uint32_t)'
)

const rightsOf = (handle: number): string => {
  const query = library.declareIn(
    'advapi32.dll',
    'uint32_t __stdcall GetSecurityInfo(intptr_t, int, uint32_t, void *, void *, void *, void *, _Out_ intptr_t *)'
  )
  const toText = library.declareIn(
    'advapi32.dll',
    'int __stdcall ConvertSecurityDescriptorToStringSecurityDescriptorW(intptr_t, uint32_t, uint32_t, _Out_ str16 *, void *)'
  )
  const [descriptor, rights] = [[0], ['']]
  const dacl = DACL_SECURITY_INFORMATION
  assert.equal(query(handle, SE_KERNEL_OBJECT, dacl, null, null, null, null, descriptor), 0)
  library.check('ConvertSecurityDescriptor…', toText(descriptor[0], SDDL_REVISION_1, dacl, rights, null))
  return rights[0] as string
}

suite('a pipe that the keeper has made', () => {
  /** Starts Node.js with three pipes. */
  const startWithPipes = async (path: string) => {
    const [input, output, errors] = [await connectedPipe(), await connectedPipe(), await connectedPipe()]
    const pipes = [input, output, errors]
    const { exit } = startNode(path, [], { stdio: pipes.map(({ handle }) => handle) })
    for (const { close } of pipes) close()
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
    const output = await connectedPipe()
    const ending = start('cmd.exe', ['/c', 'echo one'], { stdio: ['ignore', output.handle, 'ignore'] })
    const input = await connectedPipe()
    const waiting = start('cmd.exe', ['/q'], { stdio: [input.handle, output.handle, 'ignore'] })
    for (const { close } of [output, input]) close()
    await ending.exit
    const written = text(output.socket)
    input.socket.end('echo two\r\n')
    await waiting.exit
    const lines = await written
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
    const output = await connectedPipe()
    library.check('SetHandleInformation', setHandleInformation(output.handle, HANDLE_FLAG_INHERIT, 1))
    const [input, otherInput] = [await connectedPipe(), await connectedPipe()]
    const holder = start('cmd.exe', ['/q'], { stdio: [input.handle, output.handle, 'ignore'] })
    const other = start('cmd.exe', ['/q'], { stdio: [otherInput.handle, 'ignore', 'ignore'] })
    for (const { close } of [output, input, otherInput]) close()
    input.socket.end('echo holds\r\n')
    assert.match(await text(output.socket), /holds/)
    assert.equal(calls.hasEnded(other.process), false)
    otherInput.socket.end()
    await Promise.all([holder.exit, other.exit])
  })
})

suite('the name of a pipe', () => {
  test('can be opened by its user alone, and not even be read by others', async () => {
    const { handle, close, socket } = await connectedPipe()
    const rights = rightsOf(handle)
    close()
    socket.destroy()
    assert.match(rights, /^D:P\(A;;(FA|0x1f01ff);;;S-1-5-[0-9-]+\)$/)
  })

  test('is made once: whoever has it already is not connected to a command', () => {
    const name = pipeName()
    const descriptor = calls.makePrivatePipe(name)
    assert.throws(() => calls.makePrivatePipe(name), { syscall: 'CreateNamedPipeW' })
    closeSync(descriptor)
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
