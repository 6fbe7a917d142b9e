/** Processes of the system: the list, what identifies one, and its end. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { calls, exitOf, library, type Started, start, startNode } from './calls.js'
import { connectedPipe, openInput } from './pipes.js'
import { program } from './programs.js'
import { Witness } from './witness.js'

const isWine = process.env.WINELOADER !== undefined

suite('the list of processes', () => {
  test('has this process and its child, with their times and memory', async (context) => {
    const witness = await Witness.open(context)
    const before = Date.now()
    const child = spawn(process.execPath, [program('tree'), witness.path, '5'], { stdio: 'ignore' })
    await witness.sees(1)
    const list = calls.listProcesses()
    const self = list.find(({ pid }) => pid === process.pid)
    const found = list.find(({ pid }) => pid === child.pid)
    assert.ok(self !== undefined && found !== undefined)
    assert.equal(found.name, 'node.exe')
    assert.equal(found.parent, process.pid)
    assert.ok(found.threads > 0)
    assert.ok(found.createdAt >= before - 1_000 && found.createdAt <= Date.now() + 1_000)
    assert.ok(found.memoryBytes > 1_000_000)
    assert.ok(self.createdAt < found.createdAt)
    assert.ok(self.cpuMs > 0)
    child.kill()
    await once(child, 'exit')
    assert.equal(calls.listProcesses().some(isSame(found)), false)
  })
})

suite('a process', () => {
  test('is identified by its pid and the time of its creation', async (context) => {
    const witness = await Witness.open(context)
    const started = startNode(program('tree'), [witness.path, '5'])
    await witness.sees(1)
    const opened = calls.openProcess(started.pid) as number
    const listed = calls.listProcesses().find(({ pid }) => pid === started.pid)
    assert.equal(calls.createdAt(opened), listed?.createdAt)
    assert.equal(calls.createdAt(started.process), listed?.createdAt)
    assert.equal(calls.programOf(opened), process.execPath)
    const commandLine = calls.commandLineOfProcess(opened)
    assert.ok(commandLine === undefined || commandLine.includes('tree.mjs'))
    // Opened to look, not to end it.
    assert.equal(calls.terminate(opened, 1), false)
    assert.equal(calls.hasEnded(opened), false)
    const toEnd = calls.openProcess(started.pid, true) as number
    assert.equal(calls.terminate(toEnd, 33), true)
    assert.equal(await started.exit, 33)
    assert.equal(calls.hasEnded(opened), true)
    assert.equal(calls.exitCodeOf(opened), 33)
    for (const handle of [opened, toEnd]) calls.closeHandle(handle)
    // Somebody else may hold it.
    const again = calls.openProcess(started.pid)
    assert.ok(again === undefined || calls.hasEnded(again))
  })

  test('is not found by a pid that nobody has', () => {
    assert.equal(calls.openProcess(0x7fff_fffc), undefined)
  })
})

suite('exits', () => {
  test('of many processes at once are all reported, also while this process is busy', async () => {
    const job = calls.createJob()
    const input = await openInput()
    const commands = Array.from({ length: 20 }, () =>
      start('cmd.exe', [], { job, stdio: [input.handle, 'ignore', 'ignore'] })
    )
    const exits = commands.map(({ exit }) => exit)
    calls.terminateJob(job, 77)
    const until = performance.now() + 300
    while (performance.now() < until);
    assert.deepEqual(new Set(await Promise.all(exits)), new Set([77]))
    input.close()
    calls.closeHandle(job)
  })

  test('are reported if nobody waited when they happened', async () => {
    const { process } = start('cmd.exe', ['/c', 'exit 5'])
    while (!calls.hasEnded(process)) await setImmediate()
    assert.equal(await exitOf(process), 5)
  })

  test('are not reported after waiting was stopped', async () => {
    const [waiting, ended] = [await openInput(), await openInput()]
    const commands = [waiting, ended].map(({ handle }) =>
      start('cmd.exe', [], { stdio: [handle, 'ignore', 'ignore'] })
    )
    const [forgotten, heard] = commands as [Started, Started]
    let isReported = false
    calls.onceEnded(forgotten.process, () => {
      isReported = true
    })
    calls.stopWaiting()
    const exit = heard.exit
    waiting.close()
    while (!calls.hasEnded(forgotten.process)) await setImmediate()
    ended.close()
    assert.equal(await exit, 0)
    assert.equal(isReported, false)
    calls.closeHandle(forgotten.process)
  })
})

suite('the first signal', () => {
  test('is Ctrl-Break for a program with a console', async (context) => {
    // The first process under Wine has a console that nobody can join.
    if (isWine) library.declare('int __stdcall FreeConsole()')()
    const input = await openInput()
    const output = await connectedPipe()
    const stdio = [input.handle, output.handle, 'ignore'] as const
    // Under Wine 10, Node.js hangs at Ctrl-Break. On Windows, cmd.exe goes on.
    const command = isWine
      ? start('cmd.exe', [], { stdio })
      : startNode(program('ends-on-break'), [], { stdio })
    const exit = command.exit
    // It has no console before it runs.
    await once(output.socket, 'data')
    const isSent = calls.sendBreak(command.pid)
    if (isSent) assert.equal(await exit, isWine ? 1 : 9)
    else context.skip('this system cannot send it')
    input.close()
    output.close()
    output.socket.destroy()
    await exit
    assert.equal(calls.sendBreak(command.pid), false)
  })

  test('goes to no window of other processes', () => {
    assert.equal(calls.closeWindows(new Set()), 0)
  })
})

function isSame(one: { pid: number; createdAt: number }) {
  return (other: { pid: number; createdAt: number }): boolean =>
    other.pid === one.pid && other.createdAt === one.createdAt
}
