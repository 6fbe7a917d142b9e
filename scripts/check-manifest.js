// Validates the Kubernetes manifest of the examples: `check-manifest.js FOLDER`. The schemas are installed into FOLDER on demand, because they
// would be a third of the files that `npm ci` installs.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { parse } from 'yaml'

const schemas = 'kubernetes-models@4.5.1'

const folder = resolve(process.argv[2] ?? assert.fail('usage: check-manifest.js FOLDER'))
const flags = ['--silent', '--no-save', '--no-package-lock', '--prefix', folder]
execFileSync('npm', ['install', ...flags, schemas], { stdio: 'inherit' })
const { Deployment } = createRequire(join(folder, 'here.js'))('kubernetes-models/apps/v1')

const manifest = parse(
  readFileSync(new URL('../examples/kubernetes/deployment.yaml', import.meta.url), 'utf8')
)
new Deployment(manifest).validate()
// Negative control: a mistake is found.
manifest.spec.template.spec.terminationGracePeriodSeconds = '20'
assert.throws(() => new Deployment(manifest).validate(), /terminationGracePeriodSeconds must be integer/)
