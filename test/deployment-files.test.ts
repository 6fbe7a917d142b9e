/** The files for systemd, Kubernetes and PM2 are well-formed, and their limits above what a stop takes. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse as parseIni } from 'ini'
import { parse as parseYaml } from 'yaml'
import { stopWithinMs } from '../examples/serve.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const examples = join(root, 'examples')
const read = (path: string): string => readFileSync(join(examples, path), 'utf8')

/** Asserts that what a set-up gives the server makes it stop in the time that the example server says. */
function assertStopTime(env: Record<string, string | undefined>): void {
  assert.equal(Number(env.DRAIN_MS) + Number(env.GRACE_MS) + 1_000, stopWithinMs)
}

test('PM2 gives a stop and a start their time', () => {
  const [app] = createRequire(import.meta.url)(join(examples, 'pm2/ecosystem.config.cjs')).apps
  assert.ok(app.kill_timeout > stopWithinMs)
  assert.equal(app.treekill, false)
  assert.equal(app.wait_ready, true)
})

suite('the unit for systemd', () => {
  const text = read('systemd/fastify-app.service')
  const unit = parseIni(text) as Record<string, Record<string, string>>
  const service = unit.Service as Record<string, string>

  test('gives a stop its time', () => {
    assertStopTime(environmentOf(service.Environment as string))
    const [, seconds] = /^(\d+)s$/.exec(service.TimeoutStopSec as string) ?? []
    assert.ok(Number(seconds) * 1_000 > stopWithinMs, service.TimeoutStopSec)
  })

  test('lets the server drain, and outlive a subprocess that is killed for its memory', () => {
    assert.equal(service.KillMode, 'mixed')
    assert.equal(service.OOMPolicy, 'continue')
    assert.equal(service.Restart, 'on-failure')
    for (const limit of ['TasksMax', 'MemoryMax', 'LimitNOFILE']) assert.ok(limit in service, limit)
  })

  test('takes nothing that Node or the keeper needs', () => {
    assert.equal(service.PrivateTmp, 'yes')
    assert.match(service.RestrictAddressFamilies as string, /\bAF_UNIX\b/)
    for (const name of ['MemoryDenyWriteExecute', 'ProcSubset']) assert.equal(service[name], undefined)
  })

  test('is one that systemd understands', { skip: whyNoSystemd() ?? false }, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'unit-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const { status, stderr } = verify(folder, text)
    assert.equal(stderr, '')
    assert.equal(status, 0)
    // Or it says nothing of anything.
    assert.match(verify(folder, `${text}\n[Service]\nKillMod=mixed\n`).stderr, /KillMod/)
  })

  function verify(folder: string, unitText: string): { status: number | null; stderr: string } {
    const file = join(folder, 'fastify-app.service')
    // The one thing that it looks for on this machine.
    writeFileSync(file, unitText.replace('/usr/bin/node', process.execPath))
    return spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' })
  }
})

// That it is valid by its schema is checked by `scripts/check-manifest.js`.
suite('the deployment for Kubernetes', () => {
  const manifest = parseYaml(read('kubernetes/deployment.yaml'))
  const pod = manifest.spec.template.spec
  const [container] = pod.containers

  test('gives a stop its time', () => {
    const env = container.env.map(({ name, value }: { name: string; value: string }) => [name, value])
    assertStopTime(Object.fromEntries(env))
    const [sleep, seconds] = container.lifecycle.preStop.exec.command
    assert.equal(sleep, 'sleep')
    assert.ok(pod.terminationGracePeriodSeconds * 1_000 > Number(seconds) * 1_000 + stopWithinMs)
  })

  test('has a folder for the keeper where all else is read-only, and no rights', () => {
    const { securityContext, volumeMounts } = container
    assert.deepEqual(securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] }
    })
    assert.equal(pod.securityContext.runAsNonRoot, true)
    const [mount] = volumeMounts
    assert.equal(mount.mountPath, '/tmp')
    assert.ok('emptyDir' in pod.volumes.find(({ name }: { name: string }) => name === mount.name))
  })

  test('has probes of a route that the server has', () => {
    for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
      assert.deepEqual(container[probe].httpGet, { path: '/health', port: 'http' })
    }
    assert.match(read('serve.ts'), /app\.get\('\/health'/)
  })

  test('has an image with an init as PID 1, and the user of the pod', () => {
    const dockerfile = read('kubernetes/Dockerfile')
    assert.match(dockerfile, /^ENTRYPOINT \["\/usr\/bin\/tini", "--"\]$/m)
    const { runAsUser, runAsGroup } = pod.securityContext
    assert.ok(dockerfile.includes(`\nUSER ${runAsUser}:${runAsGroup}\n`))
  })
})

/** The variables of a unit's `Environment=`. */
function environmentOf(text: string): Record<string, string | undefined> {
  return Object.fromEntries(text.split(' ').map((entry) => entry.split('=')))
}

/** Why units cannot be checked here; undefined where they can. */
function whyNoSystemd(): string | undefined {
  const { error } = spawnSync('systemd-analyze', ['--version'])
  return error === undefined ? undefined : 'systemd-analyze(1) of systemd is missing'
}
