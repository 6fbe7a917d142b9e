/** Every code block of the README that is a program is copied into a file and run. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Ask, ask } from './harness/client.js'
import { eventually } from './harness/expectations.js'
import { freePort } from './harness/free-port.js'
import { patienceMs } from './harness/patience.js'
import { Witness } from './harness/witness.js'

const root = fileURLToPath(new URL('../../', import.meta.url))

// Stand-ins for the programs that the README's servers run. Each announces itself to the witness.
const programs = {
  ffmpeg:
    'echo "alive $$ ffmpeg" >&9; case "$*" in *missing*) exit 1;; *pipe:0*) cat >/dev/null;; esac; echo frame',
  ffprobe: 'echo "alive $$ ffprobe" >&9; echo "{\\"format\\":\\"$4\\"}"',
  python3: 'echo "alive $$ python3" >&9; exit 3',
  soffice: 'echo "alive $$ soffice" >&9; exec sleep 1000'
}

/** A request to a server, and the expected answer. */
type Exchange = [path: string, status: number, body: string | RegExp, ask?: Ask]

const video = { method: 'POST', headers: { 'content-type': 'video/mp4', 'content-length': 0 } }

/** Each block is identified by a line that no other block has. A block without an entry fails the test. */
const blocks: [line: string, exchanges: Exchange[] | { prints: string } | { logs: RegExp }][] = [
  [
    "app.get('/frame/:file'",
    [
      ['/frame/a.mp4', 200, 'frame\n'],
      ['/frame/missing', 502, /ERR_SUBPROCESS_FAILED/]
    ]
  ],
  [
    "app.post('/import'",
    [
      ['/import', 200, '{"code":3}', { method: 'POST' }],
      ['/probe/a.mp4', 200, '{"format":"a.mp4"}'],
      ['/thumb', 200, 'frame\n', video]
    ]
  ],
  [
    "from 'fastify-subprocess-guard/express'",
    [
      ['/thumb/a.mp4', 200, 'frame\n'],
      ['/thumb/missing', 502, /A command failed/]
    ]
  ],
  ['createGuard', { prints: '2000 bytes\n' }],
  ['capture: true', [['/convert', 200, 'started']]],
  // The keeper waits 100 ms for the stack, which may be too short on a busy machine.
  [
    'export async function workerAbort',
    { logs: /^worker \d+ hung for \d+ ms in no route\n(?: {4}at hang |undefined\n)/ }
  ]
]

/** A worker that hangs. Its hooks are a block of the README. */
const hungWorker = `
  import { createGuard } from 'fastify-subprocess-guard'
  const hooks = new URL(process.argv[2], import.meta.url)
  const guard = await createGuard({ workerTimeout: 1_000, hooks })
  function hang() { for (;;); }
  hang()`

suite('the README', () => {
  const folder = mkdtempSync(join(tmpdir(), 'readme-'))
  const bin = join(folder, 'bin')
  after(() => rmSync(folder, { recursive: true, force: true }))

  const project = join(folder, 'project')
  mkdirSync(join(project, 'node_modules'), { recursive: true })
  writeFileSync(join(project, 'package.json'), '{"type":"module","private":true}')
  for (const name of ['fastify', 'express']) {
    symlinkSync(join(root, 'node_modules', name), join(project, 'node_modules', name))
  }
  symlinkSync(root, join(project, 'node_modules/fastify-subprocess-guard'))
  mkdirSync(bin)
  for (const [name, program] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\nexec 9>"$WITNESS"\n${program}\n`)
    chmodSync(join(bin, name), 0o755)
  }

  const codeBlocks = codeBlocksOf(readFileSync(join(root, 'README.md'), 'utf8'))

  test('has no code block that is not tested here', () => {
    assert.equal(codeBlocks.length, blocks.length)
  })

  for (const [line, expected] of blocks) {
    test(`has a code block that runs: ${line}`, async (t) => {
      const code = codeBlocks.filter((block) => block.includes(line))
      assert.equal(code.length, 1, `${code.length} blocks have this line`)
      const file = join(project, `block-${blocks.findIndex(([known]) => known === line)}.js`)
      writeFileSync(file, code[0] as string)
      const witness = new Witness()
      t.after(() => witness.close())
      if (Array.isArray(expected)) await askServer(t, file, witness, expected)
      else if ('logs' in expected) assert.match(await hangWith(t, file, witness), expected.logs)
      else assert.equal(await text(start(t, file, witness).stdout as never), expected.prints)
    })
  }

  async function askServer(
    t: TestContext,
    file: string,
    witness: Witness,
    exchanges: Exchange[]
  ): Promise<void> {
    const port = await freePort()
    const server = start(t, file, witness, port)
    let output = ''
    server.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    await eventually('the server listens', () => server.exitCode !== null || isListening(port))
    for (const [path, status, body, options] of exchanges) {
      const answer = await ask(port, path, options).answer
      assert.equal(answer.status, status, answer.body)
      assert.match(answer.body, typeof body === 'string' ? new RegExp(`^${asPattern(body)}$`) : body)
    }
    // A command may end with its request before it has announced itself. Then the log mentions it.
    const hasRun = (): boolean => witness.announced.length > 0 || output.includes('ended 1 processes')
    await eventually('a command has run', hasRun)
    server.kill('SIGTERM')
    if (server.exitCode === null && server.signalCode === null) await once(server, 'exit')
    assert.ok(await witness.goneWithin(patienceMs), JSON.stringify(witness.living()))
  }

  /** Resolves to what the hooks write to standard error, without the log lines of the keeper. */
  async function hangWith(t: TestContext, hooks: string, witness: Witness): Promise<string> {
    const file = join(project, 'hangs.js')
    writeFileSync(file, hungWorker)
    const worker = spawn(process.execPath, [file, hooks], {
      cwd: project,
      env: witness.env,
      stdio: ['ignore', 'ignore', 'pipe']
    })
    t.after(() => worker.kill('SIGKILL'))
    const errors = await text(worker.stderr)
    return errors
      .split('\n')
      .filter((line) => !line.startsWith('{'))
      .join('\n')
  }

  function start(t: TestContext, file: string, witness: Witness, port = 0): ChildProcess {
    const env = { ...witness.env, PATH: `${bin}:${process.env.PATH}`, PORT: String(port) }
    const server = spawn(process.execPath, [file], { cwd: project, env, stdio: ['ignore', 'pipe', 'ignore'] })
    t.after(() => server.kill('SIGKILL'))
    return server
  }
})

function codeBlocksOf(markdown: string): string[] {
  return [...markdown.matchAll(/^```(?:js|ts|cjs)\n(.*?)^```$/gms)].map(([, code]) => code as string)
}

/** Reads the kernel's socket table, where state 0A is LISTEN (proc_pid_net(5)). */
function isListening(port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  return ['tcp', 'tcp6'].some((table) => {
    const lines = readFileSync(`/proc/${process.pid}/net/${table}`, 'utf8').split('\n')
    return lines.some((line) => {
      const [, local, , state] = line.trim().split(/\s+/)
      return state === '0A' && local?.endsWith(`:${hex}`) === true
    })
  })
}

function asPattern(literal: string): string {
  return literal.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
