// Starts processes in the way that its query names.
import { execFile, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { promisify } from 'node:util'

const how = new URL(import.meta.url).searchParams.get('how')
const run = promisify(execFile)

const ways = {
  /** One after the other. The exit status and output of each must arrive. */
  async 'and-waits'() {
    const statuses = []
    for (let status = 0; status < 20; status++) {
      const script = `sleep 0.01; head -c 100000 /dev/zero; exit ${status}`
      const { stdout } = await run('sh', ['-c', script]).catch((error) => error)
      statuses.push([status, stdout.length])
      if (status > 0) await run('sh', ['-c', `exit ${status}`]).catch(({ code }) => statuses.push(code))
    }
    writeFileSync(process.env.TOLD, JSON.stringify(statuses))
  },
  'and-forgets'() {
    spawn('sh', ['-c', 'sleep 0.3; printf late > "$TOLD"'], { stdio: 'ignore' })
  },
  async 'and-hangs'() {
    spawn('sh', ['-c', 'exec 8>"$WITNESS"; echo "alive $$ of-hook" >&8; sleep 1000'], { stdio: 'ignore' })
    await new Promise(() => setInterval(() => {}, 60_000))
  },
  'and-leaves-a-daemon'() {
    const script = 'exec 8>"$WITNESS"; echo "alive $$ daemon" >&8; exec sleep 1000'
    spawn('sh', ['-c', script], { stdio: 'ignore', detached: true }).unref()
  }
}

export const workerExit = ways[how]
