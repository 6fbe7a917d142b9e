/** What Windows needs for the start of a command, as far as it can be told on every system. */

import assert from 'node:assert/strict'
import { win32 } from 'node:path'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import type * as Blocks from '../lib/platform/windows/environment-block.js'
import type * as Programs from '../lib/platform/windows/find-windows-program.js'
import type * as Quotes from '../lib/platform/windows/quote-arguments.js'
import type * as Errors from '../lib/platform/windows/windows-errors.js'
import { compiled } from './harness/compiled.js'
import { allTexts, splitCommandLine } from './harness/split-command-line.js'

const { commandLineOf, quoteArgument } = await compiled<typeof Quotes>('platform/windows/quote-arguments')
const { findWindowsProgram, isBatchFile } = await compiled<typeof Programs>(
  'platform/windows/find-windows-program'
)
const { completeEnvironment, environmentBlock } = await compiled<typeof Blocks>(
  'platform/windows/environment-block'
)
const { systemErrorOf } = await compiled<typeof Errors>('platform/windows/windows-errors')

suite('the command line', () => {
  test('gives every program the arguments that were meant', () => {
    const args = allTexts(['a', ' ', '\t', '"', '\\'], 5)
    assert.equal(args.length, 3_906)
    assert.deepEqual(splitCommandLine(commandLineOf(['a program', ...args], false)), args)
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' })), (some) => {
        assert.deepEqual(splitCommandLine(commandLineOf(['x', ...some], false)), some)
      })
    )
  })

  test('is split wrongly without quotes', () => {
    assert.deepEqual(splitCommandLine(commandLineOf(['x', 'a b', 'c'], true)), ['a', 'b', 'c'])
  })

  test('has quotes only where Node has them', () => {
    const quoted: readonly [string, string][] = [
      ['', '""'],
      ['plain', 'plain'],
      ['C:\\folder\\', 'C:\\folder\\'],
      ['a b', '"a b"'],
      ['C:\\a b\\', '"C:\\a b\\\\"'],
      ['say "x"', '"say \\"x\\""'],
      ['a\\"b', '"a\\\\\\"b"'],
      ['%PATH%&calc', '%PATH%&calc'],
      ['two\nlines', 'two\nlines']
    ]
    for (const [argument, expected] of quoted) assert.equal(quoteArgument(argument), expected)
  })
})

suite('the search for a program', () => {
  const files = new Set(
    [
      'C:\\work\\tool.exe',
      'C:\\work\\bin\\deep.exe',
      'C:\\bin\\tool.exe',
      'C:\\bin\\npm.cmd',
      'C:\\bin\\script.js',
      'C:\\bin\\both.com',
      'C:\\bin\\both.exe',
      'C:\\bin\\dotted.1.exe',
      'C:\\b;in\\quoted.exe',
      'D:\\other\\far.exe',
      '\\\\server\\share\\remote.exe'
    ].map((path) => path.toLowerCase())
  )
  const tried: string[] = []
  const find = (file: string, includesCwd = true): string | undefined =>
    findWindowsProgram({
      file,
      cwd: 'C:\\work',
      path: '"C:\\b;in";C:\\bin\\;;bin;\\\\server\\share',
      includesCwd,
      isFile: (path) => {
        tried.push(path)
        return files.has(win32.normalize(path).toLowerCase())
      }
    })

  test('finds what Node finds', () => {
    const found: readonly [string, string | undefined][] = [
      ['tool', 'C:\\work\\tool.exe'],
      ['TOOL.EXE', 'C:\\work\\TOOL.EXE'],
      ['both', 'C:\\bin\\both.com'],
      ['both.exe', 'C:\\bin\\both.exe'],
      ['dotted.1', 'C:\\bin\\dotted.1.exe'],
      ['script.js', 'C:\\bin\\script.js'],
      ['quoted', 'C:\\b;in\\quoted.exe'],
      ['deep', 'C:\\work\\bin\\deep.exe'],
      ['remote', '\\\\server\\share\\remote.exe'],
      ['bin\\deep', 'C:\\work\\bin\\deep.exe'],
      ['.\\tool', 'C:\\work\\.\\tool.exe'],
      ['bin/deep.exe', 'C:\\work\\bin/deep.exe'],
      ['\\bin\\tool', 'C:\\bin\\tool.exe'],
      ['c:tool', 'C:\\work\\tool.exe'],
      ['D:\\other\\far', 'D:\\other\\far.exe'],
      ['\\\\server\\share\\remote', '\\\\server\\share\\remote.exe'],
      ['npm', undefined],
      ['D:far', undefined],
      ['bin\\tool', undefined],
      ['none', undefined],
      ['', undefined],
      ['.', undefined]
    ]
    for (const [file, expected] of found)
      assert.equal(find(file)?.toLowerCase(), expected?.toLowerCase(), file)
  })

  test('leaves out the current directory if the system says so', () => {
    assert.equal(find('tool', false), 'C:\\bin\\tool.exe')
    assert.equal(find('bin\\deep', false), 'C:\\work\\bin\\deep.exe')
  })

  test('tries no extension but .com and .exe', () => {
    tried.length = 0
    find('npm')
    assert.deepEqual(tried.slice(0, 4), [
      'C:\\work\\npm.com',
      'C:\\work\\npm.exe',
      'C:\\b;in\\npm.com',
      'C:\\b;in\\npm.exe'
    ])
    assert.ok(tried.every((path) => /\.(com|exe)$/.test(path)))
  })

  test('recognises batch files', () => {
    for (const file of ['a.cmd', 'A.BAT', 'dir\\a.cmd ', 'a.bat. .', 'a.b.cmd'])
      assert.ok(isBatchFile(file), file)
    for (const file of ['cmd', 'cmd.exe', 'a.cmd.exe', 'bat', 'a.cmdx']) assert.ok(!isBatchFile(file), file)
  })
})

suite('the environment block', () => {
  test('is sorted, and has one variable of each name', () => {
    const variables = completeEnvironment(
      { b: '1', _: '2', Z: '3', B: '4', '=C:': 'C:\\x', none: undefined },
      {}
    )
    assert.deepEqual(variables, [
      ['=C:', 'C:\\x'],
      ['B', '4'],
      ['Z', '3'],
      ['_', '2']
    ])
  })

  test('has what programs cannot do without', () => {
    const inherited = { SYSTEMROOT: 'C:\\windows', PATH: 'C:\\bin', SECRET: 'x' }
    assert.deepEqual(completeEnvironment({ Path: 'D:\\' }, inherited), [
      ['Path', 'D:\\'],
      ['SYSTEMROOT', 'C:\\windows']
    ])
  })

  test('ends with two zeros, even if it is empty', () => {
    assert.equal(
      environmentBlock([
        ['A', 'ä'],
        ['B', '']
      ]).toString('utf16le'),
      'A=ä\0B=\0\0'
    )
    assert.equal(environmentBlock([]).toString('utf16le'), '\0\0')
  })
})

test('errors of Windows have the codes of Node', () => {
  const codes = [2, 3, 5, 206, 740, 87, 4, 208, 99_999].map((number) => systemErrorOf(number).code)
  assert.deepEqual(codes, [
    ...['ENOENT', 'ENOENT', 'EPERM', 'ENAMETOOLONG', 'EACCES', 'EINVAL', 'EMFILE', 'E2BIG', 'UNKNOWN']
  ])
  assert.ok(systemErrorOf(2).errno < 0)
})
