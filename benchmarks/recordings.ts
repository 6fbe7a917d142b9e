/**
 * Which recordings of ffmpeg are playable when they are ended early, with common wrappers and each value of
 * `firstSignalTo`. Needs ffmpeg and ffprobe. Prints a table.
 *
 * node build/benchmarks/recordings.js [--times N]
 */

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs, promisify } from 'node:util'
import { createGuard, type Guard, type Scope, type Subprocess } from 'fastify-subprocess-guard'

const { values } = parseArgs({ options: { times: { type: 'string', default: '10' } } })
const times = Number(values.times)

const folder = mkdtempSync(join(tmpdir(), 'recordings-'))
/** A moving test picture, 30 frames per second, for a minute. */
const picture = '-re -f lavfi -i testsrc=size=640x360:rate=30:duration=60'
const record = `ffmpeg -nostdin -loglevel error ${picture} -c:v libx264 -preset veryfast "$OUT"`
/** The file has at least this many bytes once ffmpeg records. */
const enoughBytes = 48
// A recording that still runs this long after `kill()` counts as going on.
const goesOnMs = 3_000

writeFileSync(
  join(folder, 'package.json'),
  JSON.stringify({ name: 'recordings', scripts: { record }, bin: { record: './record' } })
)
mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true })
writeFileSync(join(folder, 'node_modules/.bin/record'), `#!/bin/sh\n${record}\n`)
chmodSync(join(folder, 'node_modules/.bin/record'), 0o755)
writeFileSync(
  join(folder, 'forwards.mjs'),
  `import { spawn } from 'node:child_process'
const child = spawn('sh', ['-c', process.argv[2]], { stdio: 'inherit' })
process.on('SIGTERM', () => child.kill('SIGTERM'))
child.on('exit', (code) => process.exit(code ?? 1))
`
)

/** A command line for each wrapper. `exec` avoids an additional shell. */
const wrappers: Record<string, readonly [string, ...string[]]> = {
  ffmpeg: ['sh', '-c', `exec ${record}`],
  'timeout 60 ffmpeg': ['sh', '-c', `exec timeout 60 ${record}`],
  'timeout --foreground 60 ffmpeg': ['sh', '-c', `exec timeout --foreground 60 ${record}`],
  "sh -c 'ffmpeg; true'": ['sh', '-c', `${record}; true`],
  "bash -c 'ffmpeg; true'": ['bash', '-c', `${record}; true`],
  'sh, a trap forwards and waits': ['sh', '-c', `trap 'kill $p' TERM; ${record} & p=$!; wait $p; wait $p`],
  'sh, a trap forwards and exits': ['sh', '-c', `trap 'kill $p; exit' TERM; ${record} & p=$!; wait $p`],
  'npm run': ['npm', 'run', '--silent', 'record'],
  npx: ['npx', '--no-install', 'record'],
  'a Node program that forwards': [process.execPath, join(folder, 'forwards.mjs'), `exec ${record}`]
}

type Way = 'kill()' | 'tree' | 'command'
const ways: readonly Way[] = ['kill()', 'tree', 'command']

// Long enough for ffmpeg to finish on a busy machine: SIGKILL would spoil a recording for another reason.
const grace = 20_000
const guard = await createGuard({ timeout: false, grace, logger: { info() {}, warn() {}, error() {} } })
console.log(`| behind | \`kill()\` of Node | \`firstSignalTo: 'tree'\` | \`firstSignalTo: 'command'\` |`)
console.log('| --- | --- | --- | --- |')
try {
  for (const [name, command] of Object.entries(wrappers)) {
    const cells: string[] = []
    for (const way of ways) cells.push(await cellOf(command, way))
    console.log(`| \`${name}\` | ${cells.join(' | ')} |`)
  }
} finally {
  await guard.close()
  rmSync(folder, { recursive: true, force: true })
}

async function cellOf(command: readonly [string, ...string[]], way: Way): Promise<string> {
  const ends: string[] = []
  // One at a time: recordings that end at the same time slow each other down.
  while (ends.length < times) ends.push(await endOf(guard, command, way))
  const playable = ends.filter((end) => end === 'playable').length
  const goesOn = ends.filter((end) => end === 'goes on').length
  return goesOn === times ? 'goes on' : `${playable} of ${times}${goesOn === 0 ? '' : `, ${goesOn} go on`}`
}

/** Records for some seconds, ends the recording, and returns what became of it. */
async function endOf(
  guard: Guard,
  [file, ...args]: readonly [string, ...string[]],
  way: Way
): Promise<string> {
  const out = join(folder, 'out.mp4')
  rmSync(out, { force: true })
  const scope = guard.open({ firstSignalTo: way === 'tree' ? 'tree' : 'command' })
  const env = { ...process.env, OUT: out }
  const child = scope.spawn(file, args, { cwd: folder, env, stdio: 'ignore' })
  while (sizeOf(out) < enoughBytes) {
    if (hasEnded(child)) {
      await scope.close()
      throw new Error(`the recording did not start: ${args.join(' ')}`)
    }
    await pause(20)
  }
  await pause(1_500)
  if (way === 'kill()') {
    child.kill()
    const exited = once(child, 'exit')
    await Promise.race([exited.then(() => isEmpty(scope)), pause(goesOnMs)])
    const goesOn = (await scope.list()).length > 0
    await scope.close()
    return goesOn ? 'goes on' : playability(out)
  }
  await scope.close()
  return playability(out)
}

function hasEnded({ exitCode, signalCode }: Subprocess): boolean {
  return exitCode !== null || signalCode !== null
}

async function isEmpty(scope: Scope): Promise<void> {
  while ((await scope.list()).length > 0) await pause(20)
}

async function playability(path: string): Promise<'playable' | 'spoilt'> {
  const args = ['-v', 'error', '-show_entries', 'format=duration', '-of', 'csv=p=0', path]
  try {
    const { stdout } = await promisify(execFile)('ffprobe', args)
    return Number(stdout) > 0 ? 'playable' : 'spoilt'
  } catch {
    return 'spoilt'
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}
