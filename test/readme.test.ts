/** Every code block of the README and of docs is a program that runs, or a part of one: it is copied into a file and run. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
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

// The worker module of a process pool. It announces itself, too.
const poolWorker = `
  import { appendFileSync } from 'node:fs'
  import workerpool from 'workerpool'
  appendFileSync(process.env.WITNESS, 'alive ' + process.pid + ' pool worker\\n')
  workerpool.worker({ sum: (numbers) => numbers })`

// Stand-ins for the programs that the README's servers run. Each says to the witness that it is there.
const programs = {
  ffmpeg:
    'echo "alive $$ ffmpeg" >&9; case "$*" in *missing*) exit 1;; *pipe:0*) cat >/dev/null;; esac; echo frame',
  ffprobe: 'echo "alive $$ ffprobe" >&9; echo "{\\"format\\":\\"$4\\"}"',
  python3: 'echo "alive $$ python3" >&9; exit 3',
  indexer: 'echo "alive $$ indexer" >&9; exec sleep 1',
  soffice: 'echo "alive $$ soffice" >&9; exec sleep 1000'
}

/** A request to a server, and the expected answer. */
type Exchange = [path: string, status: number, body: string | RegExp, ask?: Ask]

const video = { method: 'POST', headers: { 'content-type': 'video/mp4', 'content-length': 0 } }

/** A code block of a page, identified by a line that no other block of the page has. A block without an entry fails the test. */
interface Block {
  readonly page: string
  readonly line: string
  readonly expected: Exchange[] | { prints: string } | { logs: RegExp }
  /** Completes a block that is only a part of a program. */
  readonly around?: (code: string) => string
}

/** Completes a block that registers the plugin. */
const registering = (code: string): string => `
  import { execFile, spawn } from 'node:child_process'
  import Fastify from 'fastify'
  import subprocessGuard from 'fastify-subprocess-guard'
  const app = Fastify()
  ${code}
  app.get('/', (req, reply) => {
    execFile('soffice')
    reply.send('started')
  })
  await app.listen({ port: Number(process.env.PORT) })
  process.once('SIGTERM', () => app.close())`

/** Completes a block that adds routes to a server. */
const routing = (code: string): string =>
  registering(`await app.register(subprocessGuard, { capture: true })\n${code}`)

const blocks: Block[] = [
  {
    page: 'README.md',
    line: "app.get('/frame/:file'",
    expected: [
      ['/frame/a.mp4', 200, 'frame\n'],
      ['/frame/missing', 502, /ERR_SUBPROCESS_FAILED/]
    ]
  },
  {
    page: 'README.md',
    line: "from 'fastify-subprocess-guard/express'",
    expected: [['/probe/a.mp4', 200, '{"format":"a.mp4"}']]
  },
  { page: 'README.md', line: 'createGuard', expected: { prints: '2000 bytes\n' } },
  {
    page: 'docs/usage.md',
    line: "app.post('/import'",
    expected: [
      ['/import', 200, '{"code":3}', { method: 'POST' }],
      ['/probe/a.mp4', 200, '{"format":"a.mp4"}'],
      ['/thumb', 200, 'frame\n', video]
    ]
  },
  {
    page: 'docs/usage.md',
    line: "from 'fastify-subprocess-guard/express'",
    expected: [
      ['/thumb/a.mp4', 200, 'frame\n'],
      ['/thumb/missing', 502, /A command failed/]
    ]
  },
  { page: 'docs/usage.md', line: 'createGuard', expected: { prints: '2000 bytes\n' } },
  { page: 'docs/usage.md', line: 'capture: true', expected: [['/convert', 200, 'started']] },
  {
    page: 'docs/usage-of-resources.md',
    line: 'resourceUsage()',
    expected: [['/cost/a.mp4', 200, /^\{"cpuMs":[\d.]+\}$/]],
    around: routing
  },
  {
    page: 'docs/options.md',
    line: 'limits: { concurrency: 8',
    expected: [['/thumbnail', 200, 'frame\n']],
    around: (code) => registering(`const thumbnail = (req) => req.subprocesses.stream('ffmpeg')\n${code}`)
  },
  {
    page: 'docs/usage-of-resources.md',
    line: 'healthCheck:',
    expected: [
      ['/status', 200, '{"status":"ok"}'],
      ['/', 200, 'started']
    ],
    // It waits for its command, because nothing is captured.
    around: (code) =>
      registering(code).replace(
        "execFile('soffice')",
        "return req.subprocesses.execFile('ffprobe').then(() => 'started')"
      )
  },
  // The keeper waits 100 ms for the stack, which a busy machine may not deliver in time.
  {
    page: 'docs/options.md',
    line: 'export async function workerAbort',
    expected: { logs: /^worker \d+ hung for \d+ ms in no route\n(?: {4}at hang |undefined\n)/ }
  },
  {
    page: 'docs/capture.md',
    line: '{ capture: true }',
    expected: [['/', 200, 'started']],
    around: registering
  },
  {
    page: 'docs/capture.md',
    line: '{ capture: { except: [',
    expected: [['/', 200, 'started']],
    // It runs another command: one that is not captured would outlive the test.
    around: (code) => registering(code).replace("execFile('soffice')", "execFile('indexer')")
  },
  {
    page: 'docs/capture.md',
    line: 'throwIfAborted',
    expected: [
      ['/log', 200, '0'],
      ['/', 200, 'started']
    ],
    around: (code) =>
      routing(
        `const git = { log: async () => [] }; app.get('/log', async (req) => { ${code}; return String(log.length) })`
      )
  },
  {
    page: 'docs/capture.md',
    line: 'workerpool',
    expected: [['/sum?numbers=1', 200, '1']],
    around: (code) => `${routing(code)}\nprocess.once('SIGTERM', () => pool.terminate())`
  },
  {
    page: 'docs/capture.md',
    line: "spawn('indexer'",
    expected: [['/start', 200, /^\{"pid":\d+\}$/]],
    around: routing
  },
  {
    page: 'docs/deployment.md',
    line: 'process.setuid',
    expected: { prints: 'setgroups setgid setuid\n' },
    // test/rights.test.ts shows what these calls do.
    around: (code) => `
      const app = { listen: async () => {} }
      const called = []
      for (const name of ['setgroups', 'setgid', 'setuid']) process[name] = () => called.push(name)
      ${code.replace('443', '0')}
      console.log(called.join(' '))`
  },
  {
    page: 'docs/mcp-gateway.md',
    line: "addEventListener('abort'",
    expected: { prints: 'event: message end\n' },
    around: (code) => `
      const abort = new AbortController()
      const req = { subprocesses: { signal: abort.signal } }
      const written = []
      const res = { write: (text) => written.push(text.split('\\n')[0]), end: () => written.push('end') }
      const id = 1
      ${code}
      abort.abort(new Error('late'))
      console.log(written.join(' '))`
  }
]
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter(
  // Generated from the docstrings: declarations, not programs.
  (page) => page.endsWith('.md') && page !== 'docs/api.md'
)

/** A worker that hangs. Its hooks are a block of the README. */
const hungWorker = `
  import { createGuard } from 'fastify-subprocess-guard'
  const hooks = new URL(process.argv[2], import.meta.url)
  const guard = await createGuard({ workerTimeout: 1_000, hooks })
  function hang() { for (;;); }
  hang()`

suite('the pages', () => {
  const folder = mkdtempSync(join(tmpdir(), 'readme-'))
  const bin = join(folder, 'bin')
  after(() => rmSync(folder, { recursive: true, force: true }))

  const project = join(folder, 'project')
  mkdirSync(join(project, 'node_modules'), { recursive: true })
  writeFileSync(join(project, 'package.json'), '{"type":"module","private":true}')
  for (const name of ['fastify', '@fastify', 'express', 'workerpool']) {
    symlinkSync(join(root, 'node_modules', name), join(project, 'node_modules', name))
  }
  symlinkSync(root, join(project, 'node_modules/fastify-subprocess-guard'))
  writeFileSync(join(project, 'worker.js'), poolWorker)
  mkdirSync(bin)
  for (const [name, program] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\nexec 9>"$WITNESS"\n${program}\n`)
    chmodSync(join(bin, name), 0o755)
  }

  for (const page of pages) {
    const found = codeBlocksOf(readFileSync(join(root, page), 'utf8'))
    const known = blocks.filter((block) => block.page === page)

    test(`${page} has no code block that is not tested here`, () => {
      assert.equal(found.length, known.length)
    })

    for (const { line, expected, around = (code: string) => code } of known) {
      test(`${page} has a code block that runs: ${line}`, async (t) => {
        const code = found.filter((block) => block.includes(line))
        assert.equal(code.length, 1, `${code.length} blocks have this line`)
        const file = join(
          project,
          `block-${blocks.findIndex((one) => one.page === page && one.line === line)}.js`
        )
        writeFileSync(file, around(code[0] as string))
        const witness = new Witness()
        t.after(() => witness.close())
        if (Array.isArray(expected)) await askServer(t, file, witness, expected)
        else if ('logs' in expected) assert.match(await hangWith(t, file, witness), expected.logs)
        else assert.equal(await text(start(t, file, witness).stdout as never), expected.prints)
      })
    }
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
