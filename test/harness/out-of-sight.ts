/**
 * Preloaded into a server in a test's own process, which needs `/proc` itself: there the package cannot open anything below
 * `/proc`, and its keeper does not see it.
 */

import childProcess from 'node:child_process'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { hideProc, whyNoHiding } from './without-proc.js'

type Call = (...args: unknown[]) => unknown

const ofThePackage = /\/dist\/(?!test)/

for (const holder of [fs, fs.promises] as unknown as Record<string, Call>[]) {
  for (const [name, original] of Object.entries(holder)) {
    if (typeof original === 'function' && /^(open|read|l?stat|access|exists|realpath)/.test(name)) {
      holder[name] = refusing(original)
    }
  }
}

/** The function, which throws when the package calls it with a path below `/proc`. */
function refusing(original: Call): Call {
  return function (this: unknown, ...args: unknown[]) {
    const [path] = args
    if (typeof path === 'string' && path.startsWith('/proc') && ofThePackage.test(new Error().stack ?? '')) {
      throw new Error(`the package has opened ${path}`)
    }
    return original.apply(this, args)
  }
}

if (whyNoHiding() === false) {
  const { within, remove } = hideProc()
  process.once('exit', remove)
  const spawn = childProcess.spawn as unknown as (file: string, args: string[], options: object) => unknown
  const spawnWithin = (file: string, args: string[], options: object): unknown => {
    const isKeeper = Array.isArray(args) && args.some((arg) => String(arg).endsWith('/dist/keeper/main.js'))
    if (!isKeeper) return spawn(file, args, options)
    const [program = '', ...rest] = [...within, file, ...args]
    return spawn(program, rest, options)
  }
  Object.assign(childProcess, { spawn: spawnWithin })
}
syncBuiltinESMExports()
