/** The link chain of a program: every link on the way to its file, and nothing that only shares that file. */

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { compiled } from './harness/compiled.js'

const { linkChain, locationOf } =
  await compiled<typeof import('../lib/subprocess/link-chain.js')>('subprocess/link-chain')

function makeFolder(t: TestContext): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'chain-')))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

/** A file, or a link to an earlier one: by which path, and in which of two directories it is. */
const node = fc.record({
  target: fc.option(fc.nat(20), { nil: undefined }),
  isAbsolute: fc.boolean(),
  throughAlias: fc.boolean(),
  folder: fc.constantFrom('one' as const, 'two' as const)
})

suite('the link chain of a program', () => {
  test('has the program and each link on the way to its file, in order, whatever leads there', (t) => {
    const folder = makeFolder(t)
    fc.assert(
      fc.property(fc.array(node, { minLength: 1, maxLength: 12 }), (nodes) => {
        const root = mkdtempSync(join(folder, 'case-'))
        for (const name of ['one', 'two']) mkdirSync(join(root, name))
        for (const name of ['one', 'two']) symlinkSync(name, join(root, `${name}-alias`))
        const paths: string[] = []
        const chains: string[][] = []
        for (const [index, { folder: place, isAbsolute, throughAlias, target }] of nodes.entries()) {
          const path = join(root, place, `program-${index}`)
          // Links lead to earlier ones only, so that they form no circle.
          const to = target === undefined || index === 0 ? undefined : target % index
          if (to === undefined) writeFileSync(path, '')
          else {
            const straight = paths[to] as string
            const given = throughAlias
              ? straight.replace(/(one|two)\/(program-\d+)$/, '$1-alias/$2')
              : straight
            symlinkSync(isAbsolute ? given : relative(dirname(path), given), path)
          }
          paths.push(path)
          chains.push([path, ...(to === undefined ? [] : (chains[to] as string[]))])
        }
        for (const [index, path] of paths.entries()) {
          assert.deepEqual(linkChain(path), chains[index])
          const byAlias = path.replace(/(one|two)\/(program-\d+)$/, '$1-alias/$2')
          assert.deepEqual(linkChain(byAlias), chains[index])
        }
      }),
      { numRuns: 50 }
    )
  })

  test('follows `..` of a target from where its directory really is', (t) => {
    const folder = makeFolder(t)
    mkdirSync(join(folder, 'deep/er'), { recursive: true })
    symlinkSync('deep/er', join(folder, 'short'))
    for (const path of ['program', 'deep/program']) writeFileSync(join(folder, path), '')
    symlinkSync('short/../program', join(folder, 'link'))
    assert.deepEqual(linkChain(join(folder, 'link')), [join(folder, 'link'), join(folder, 'deep/program')])
  })

  test('ends in a circle', (t) => {
    const folder = makeFolder(t)
    symlinkSync('two', join(folder, 'one'))
    symlinkSync('one', join(folder, 'two'))
    const chain = linkChain(join(folder, 'one'))
    assert.deepEqual(new Set(chain), new Set([join(folder, 'one'), join(folder, 'two')]))
  })

  test('is the path alone if nothing is there', (t) => {
    const path = join(makeFolder(t), 'no/such')
    assert.deepEqual([linkChain(path), locationOf(path)], [[path], path])
  })
})
