/** Options are validated where they are given. An error names the option, its value and the way out. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import Fastify from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'
import { shareKeeper } from './harness/shared-keeper.js'

const mistakes: [object, RegExp][] = [
  [{ timeout: '5s' }, /^timeout is "5s": set it to a whole number of milliseconds/],
  [{ timeout: 0 }, /^timeout is 0: set it to false/],
  [{ timeout: 2 ** 31 }, /^timeout is 2147483648: .* to 2147483647/],
  [{ timeout: Number.NaN }, /^timeout is null|^timeout is NaN/],
  [{ grace: -1 }, /^grace is -1/],
  [{ grace: false }, /^grace is false/],
  [{ killSignal: 'TERM' }, /^killSignal is "TERM": .*'SIGTERM'/],
  [{ firstSignalTo: 'leader' }, /^firstSignalTo is "leader": set it to 'tree' or 'command'/],
  [{ killSignal: 'SIGSTOP' }, /^killSignal is "SIGSTOP": this signal ends no process/],
  [{ drain: 1.5 }, /^drain is 1.5/],
  [
    { timeOut: 5 },
    /^timeOut is 5: no such option; the options are timeout, grace, killSignal, firstSignalTo, privateTmp, limits, priority, policy, drain/
  ],
  [{ hooks: './hooks.js' }, /^hooks is/],
  [{ containment: 'pidns' }, /^containment is "pidns": .*tree, marks, subreaper, job, cgroup/],
  [{ containment: null }, /^containment is null/],
  [
    { limits: 8 },
    /^limits is 8: set it to an object such as \{ concurrency: 8, queue: 100, memory: 512e6 \}/
  ],
  [
    { limits: { memory: '512MB' } },
    /^limits\.memory is "512MB": set it to a whole number of bytes, 1 or more, or to false for no limit/
  ],
  [{ limits: { cpu: 0 } }, /^limits\.cpu is 0: set it to a whole number of ms of processor time, 1 or more/],
  [{ limits: { processes: 2.5 } }, /^limits\.processes is 2\.5: set it to a whole number of processes/],
  [{ limits: null }, /^limits is null/],
  [
    { limits: { concurrency: 0 } },
    /^limits\.concurrency is 0: set it to a whole number, 1 or more, or leave it out/
  ],
  [{ limits: { concurrency: 1.5 } }, /^limits\.concurrency is 1\.5/],
  [{ limits: { concurrency: '8' } }, /^limits\.concurrency is "8"/],
  [{ limits: { concurrency: 1, queue: -1 } }, /^limits\.queue is -1: set it to a whole number, 0 or more/],
  [{ limits: { queue: 5 } }, /^limits\.queue is 5: no command waits .*: set limits\.concurrency, too/],
  [
    { limits: { concurency: 5 } },
    /^limits\.concurency is 5: no such option; the options are concurrency, queue, memory, cpu, processes, rlimits/
  ],
  [{ capture: 'yes' }, /^capture is "yes": set it to true or false, or to an object such as/],
  [{ capture: null }, /^capture is null/],
  [{ capture: ['soffice'] }, /^capture is \["soffice"\]: .*\{ except: \['soffice'\] \}/],
  [{ capture: { only: [] } }, /^capture\.only is \[\]: no such option; the options are except/],
  [{ capture: { except: 'soffice' } }, /^capture\.except is "soffice": set it to an array/],
  [
    { capture: { except: ['soffice', 5] } },
    /^capture\.except\[1\] is 5: give the name or path of a program, or/
  ],
  [{ capture: { except: [''] } }, /^capture\.except\[0\] is ""/],
  [{ priority: 5 }, /^priority is 5: set it to an object such as \{ nice: 5/],
  [{ priority: null }, /^priority is null/],
  [{ priority: { niceness: 5 } }, /^priority\.niceness is 5: no such option; the options are nice, ioClass/],
  [{ priority: { nice: -1 } }, /^priority\.nice is -1: set it to a whole number from 0 to 19/],
  [{ priority: { nice: 20 } }, /^priority\.nice is 20/],
  [{ priority: { oomScoreAdj: -1 } }, /^priority\.oomScoreAdj is -1: .* from 0 to 1000/],
  [{ priority: { oomScoreAdj: 0.5 } }, /^priority\.oomScoreAdj is 0.5/],
  [
    { priority: { ioClass: 'realtime' } },
    /^priority\.ioClass is "realtime": set it to 'best-effort' or 'idle'/
  ],
  [{ priority: { ioLevel: 8 } }, /^priority\.ioLevel is 8: .* from 0 to 7/],
  [{ priority: { ioClass: 'idle', ioLevel: 3 } }, /^priority\.ioLevel is 3: leave it out: the class 'idle'/],
  [{ limits: [] }, /^limits is \[\]: set it to an object/],
  [{ limits: { rlimit: {} } }, /^limits\.rlimit is \{\}: no such option; the options are .*rlimits/],
  [{ limits: { rlimits: true } }, /^limits\.rlimits is true: set it to an object such as \{ core: 0/],
  [{ limits: { rlimits: { files: 5 } } }, /^limits\.rlimits\.files is 5: no such limit; .* nofile, nproc/],
  [{ limits: { rlimits: { nofile: -1 } } }, /^limits\.rlimits\.nofile is -1: set it to a whole number of 0/],
  [
    { limits: { rlimits: { nofile: 'unlimited' } } },
    /^limits\.rlimits\.nofile is "unlimited": .* or to false/
  ],
  [{ limits: { rlimits: { cpu: 1.5 } } }, /^limits\.rlimits\.cpu is 1.5/]
]

suite('at registration', () => {
  for (const [options, message] of mistakes) {
    test(`${JSON.stringify(options)} is refused`, async () => {
      const app = Fastify()
      await assert.rejects(
        async () => app.register(subprocessGuard, options),
        (error: Error & { code: string }) => {
          assert.ok(error instanceof TypeError)
          assert.equal(error.code, 'ERR_SUBPROCESS_OPTION')
          assert.match(error.message, message)
          return true
        }
      )
    })
  }
})

suite('at a route', () => {
  shareKeeper()

  const wrong: [unknown, RegExp][] = [
    [true, /^config\.subprocessGuard is true: set it to false, or to an object/],
    [{ timeout: 'soon' }, /^config\.subprocessGuard\.timeout is "soon"/],
    [{ limits: true }, /^config\.subprocessGuard\.limits is true/],
    [{ limits: { concurrency: -1 } }, /^config\.subprocessGuard\.limits\.concurrency is -1/],
    [
      { limits: { queue: 5 } },
      /^config\.subprocessGuard\.limits\.queue is 5: .* set config\.subprocessGuard\.limits\.concurrency, too/
    ],
    [{ priority: { nice: 99 } }, /^config\.subprocessGuard\.priority\.nice is 99/],
    [{ limits: { rlimits: { core: -5 } } }, /^config\.subprocessGuard\.limits\.rlimits\.core is -5/],
    [{ drain: 5 }, /^config\.subprocessGuard\.drain is 5: it is for the whole server/],
    [
      { grase: 5 },
      /^config\.subprocessGuard\.grase is 5: no such option; the options are timeout, grace, killSignal/
    ]
  ]
  for (const [override, message] of wrong) {
    test(`${JSON.stringify(override)} is refused where the route is declared`, async (t) => {
      const app = Fastify()
      t.after(() => app.close())
      await app.register(subprocessGuard)
      assert.throws(() => app.get('/', { config: { subprocessGuard: override as never } }, async () => ''), {
        name: 'SubprocessOptionError',
        message
      })
    })
  }

  test('an override applies to a route that was declared before the guard was loaded', async (t) => {
    const app = Fastify()
    t.after(() => app.close())
    app.register(subprocessGuard, { timeout: 60_000 })
    app.get('/', { config: { subprocessGuard: { timeout: 50 } } }, () => new Promise(() => {}))
    assert.equal((await app.inject('/')).statusCode, 503)
  })

  test('grace and killSignal override those of the plugin', async (t) => {
    const app = Fastify()
    t.after(() => app.close())
    await app.register(subprocessGuard, { grace: 60_000 })
    const config = { subprocessGuard: { grace: 1, killSignal: 'SIGHUP' } } as const
    app.get('/', { config }, async (request) => {
      const script = 'trap "" TERM; trap "exit 7" HUP; echo ready; while :; do sleep 1000 & wait $!; done'
      const subprocess = request.spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] })
      await new Promise((resolve) => subprocess.stdout?.once('data', resolve))
      const ended = new Promise((resolve) => subprocess.once('exit', (...how) => resolve(how)))
      await request.subprocesses.close()
      return ended
    })
    const how = (await app.inject('/')).json()
    // On a busy machine the shell may need more than 1 ms for its handler: then SIGKILL is also correct.
    assert.ok(how[0] === 7 || how[1] === 'SIGKILL', JSON.stringify(how))
  })
})
