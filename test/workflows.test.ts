/** The files for GitHub are valid: they cannot run here. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'

const root = fileURLToPath(new URL('../../', import.meta.url))
const validator = join(root, 'node_modules/.bin/action-validator')
const folder = '.github/workflows'
const files = readdirSync(join(root, folder))

function validate(path: string): { status: number | null; stderr: string } {
  return spawnSync(process.execPath, [validator, path], { cwd: root, encoding: 'utf8' })
}

/** The commands that a workflow runs. */
function commandsOf(file: string): string[] {
  const { jobs } = parse(readFileSync(join(root, folder, file), 'utf8'))
  return Object.values(jobs as Record<string, { steps: { run?: string }[] }>)
    .flatMap(({ steps }) => steps)
    .flatMap(({ run }) => run ?? [])
}

suite('the workflows', () => {
  for (const file of files) {
    test(`${file} is valid`, () => {
      const { status, stderr } = validate(join(folder, file))
      assert.equal(status, 0, stderr)
    })

    test(`${file} runs what exists`, () => {
      const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
      for (const command of commandsOf(file)) {
        const [, script] = /^npm (?:run )?(\w+)$/.exec(command) ?? []
        if (script !== undefined && script !== 'ci') assert.ok(script in scripts, command)
        const [, path] = /^(?:node )?([\w./-]+\/[\w.-]+)$/.exec(command) ?? []
        if (path !== undefined) assert.ok(existsSync(join(root, path)), command)
      }
    })
  }

  test('are checked by a validator that finds mistakes', (t) => {
    const wrong = mkdtempSync(join(tmpdir(), 'workflows-'))
    t.after(() => rmSync(wrong, { recursive: true }))
    const text = readFileSync(join(root, folder, 'ci.yml'), 'utf8')
    const path = join(wrong, 'ci.yml')
    writeFileSync(path, text.replace('runs-on: ubuntu-latest', 'run-on: ubuntu-latest'))
    assert.notEqual(validate(path).status, 0)
  })

  test('cover every supported version of Node', () => {
    const { jobs } = parse(readFileSync(join(root, folder, 'ci.yml'), 'utf8'))
    for (const job of ['linux', 'alpine', 'macos', 'windows']) {
      assert.deepEqual(jobs[job].strategy.matrix.node, [20, 22, 24, 26], job)
    }
  })
})
