/** The files for systemd, Kubernetes and PM2 are valid, and their time limits leave room for a shutdown. */

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

/** Asserts that drain and grace period in an environment match the `stopWithinMs` of the example server. */
function assertStopTime(env: Record<string, string | undefined>): void {
  assert.equal(Number(env.DRAIN_MS) + Number(env.GRACE_MS) + 1_000, stopWithinMs)
}

test('PM2 leaves enough time for shutdown and start', () => {
  const [app] = createRequire(import.meta.url)(join(examples, 'pm2/ecosystem.config.cjs')).apps
  assert.ok(app.kill_timeout > stopWithinMs)
  assert.equal(app.treekill, false)
  assert.equal(app.wait_ready, true)
})

suite('the systemd unit', () => {
  const text = read('systemd/fastify-app.service')
  const unit = parseIni(text) as Record<string, Record<string, string>>
  const service = unit.Service as Record<string, string>

  test('leaves enough time for shutdown', () => {
    assertStopTime(environmentOf(service.Environment as string))
    const [, seconds] = /^(\d+)s$/.exec(service.TimeoutStopSec as string) ?? []
    assert.ok(Number(seconds) * 1_000 > stopWithinMs, service.TimeoutStopSec)
  })

  test('lets the server drain, and survive a subprocess that the OOM killer ends', () => {
    assert.equal(service.KillMode, 'mixed')
    assert.equal(service.OOMPolicy, 'continue')
    assert.equal(service.Restart, 'on-failure')
    for (const limit of ['TasksMax', 'MemoryMax', 'LimitNOFILE']) assert.ok(limit in service, limit)
  })

  test('restricts nothing that Node or the keeper needs', () => {
    assert.equal(service.PrivateTmp, 'yes')
    assert.match(service.RestrictAddressFamilies as string, /\bAF_UNIX\b/)
    for (const name of ['MemoryDenyWriteExecute', 'ProcSubset']) assert.equal(service[name], undefined)
  })

  test('is valid for systemd', { skip: whyNoSystemd() ?? false }, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'unit-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const { status, stderr } = verify(folder, text)
    assert.equal(stderr, '')
    assert.equal(status, 0)
    // Make sure that it reports mistakes at all.
    assert.match(verify(folder, `${text}\n[Service]\nKillMod=mixed\n`).stderr, /KillMod/)
  })

  function verify(folder: string, unitText: string): { status: number | null; stderr: string } {
    const file = join(folder, 'fastify-app.service')
    // It checks that the program exists on this machine.
    writeFileSync(file, unitText.replace('/usr/bin/node', process.execPath))
    return spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' })
  }
})

// `scripts/check-manifest.js` validates it against its schema.
suite('the Kubernetes deployment', () => {
  const manifest = parseYaml(read('kubernetes/deployment.yaml'))
  const pod = manifest.spec.template.spec
  const [container] = pod.containers

  test('leaves enough time for shutdown', () => {
    const env = container.env.map(({ name, value }: { name: string; value: string }) => [name, value])
    assertStopTime(Object.fromEntries(env))
    const [sleep, seconds] = container.lifecycle.preStop.exec.command
    assert.equal(sleep, 'sleep')
    assert.ok(pod.terminationGracePeriodSeconds * 1_000 > Number(seconds) * 1_000 + stopWithinMs)
  })

  test('has a writable directory for the keeper, a read-only root, and no capabilities', () => {
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

  test('probes a route that the server has', () => {
    for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
      assert.deepEqual(container[probe].httpGet, { path: '/health', port: 'http' })
    }
    assert.match(read('serve.ts'), /app\.get\('\/health'/)
  })

  test('has an image with an init as PID 1 and the same user as the pod', () => {
    const dockerfile = read('kubernetes/Dockerfile')
    assert.match(dockerfile, /^ENTRYPOINT \["\/usr\/bin\/tini", "--"\]$/m)
    const { runAsUser, runAsGroup } = pod.securityContext
    assert.ok(dockerfile.includes(`\nUSER ${runAsUser}:${runAsGroup}\n`))
  })
})

/** The variables in the `Environment=` of a unit. */
function environmentOf(text: string): Record<string, string | undefined> {
  return Object.fromEntries(text.split(' ').map((entry) => entry.split('=')))
}

/** Why units cannot be verified on this machine; undefined if they can. */
function whyNoSystemd(): string | undefined {
  const { error } = spawnSync('systemd-analyze', ['--version'])
  return error === undefined ? undefined : 'systemd-analyze(1) of systemd is missing'
}
