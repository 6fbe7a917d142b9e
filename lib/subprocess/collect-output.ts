/** Runs a command to its end and collects its output, for `execFile` and `exec`. */

import type { Readable } from 'node:stream'
import { describeEnd } from './command-failure.js'
import type { CollectOptions } from './exec-options.js'
import { writeInput } from './stdin-input.js'
import type { Subprocess } from './subprocess.js'

/** The output of a command. */
export interface Output<Text extends string | Buffer = string> {
  readonly stdout: Text
  readonly stderr: Text
}

/**
 * Resolves with the output if the command succeeds. Rejects with an `ExecError` if it ends otherwise. Rejects
 * at once, as in Node, if it was not started or its `signal` was aborted: the scope ends its process tree.
 */
export function collectOutput(
  child: Subprocess,
  cmd: string,
  options: CollectOptions
): Promise<Output<never>> {
  let failure: Error | undefined
  let wasKilled = false
  const stopReading = (): void => {
    child.stdout?.destroy()
    child.stderr?.destroy()
  }
  const terminate = (error: Error): void => {
    failure ??= error
    wasKilled = true
    stopReading()
    void child.terminate()
  }
  const stdout = new CollectedStream(child, 'stdout', options, terminate)
  const stderr = new CollectedStream(child, 'stderr', options, terminate)
  for (const output of [child.stdout, child.stderr]) {
    // The output is incomplete, whatever the exit status.
    output?.on('error', (error) => {
      failure ??= error
    })
  }
  writeInput(child, options.input, terminate)
  return new Promise((resolve, reject) => {
    const fail = (error: Error, signal: NodeJS.Signals | null): void => {
      const killed = wasKilled || child.killed
      reject(Object.assign(error, { signal, killed, cmd, stdout: stdout.value, stderr: stderr.value }))
    }
    child.on('error', (error) => {
      stopReading()
      fail(failure ?? error, null)
    })
    child.once('close', (code, signal) => {
      if (failure !== undefined) fail(failure, signal)
      else if (code !== 0 || signal !== null) {
        // The message may be sent to a client, so it has no arguments and no output.
        const message = `Command failed: ${child.spawnfile}: ${describeEnd(code, signal)}`
        fail(Object.assign(new Error(message), { code }), signal)
      } else resolve({ stdout: stdout.value, stderr: stderr.value } as Output<never>)
    })
  })
}

/**
 * The collected chunks of one stream. As in Node, a listener that the user adds gets strings too if there
 * is an encoding, and the user may set another encoding.
 */
class CollectedStream {
  readonly #stream: Readable | null
  readonly #isText: boolean
  readonly #chunks: (string | Buffer)[] = []
  #bytes = 0

  constructor(
    child: Subprocess,
    name: 'stdout' | 'stderr',
    { encoding, maxBufferBytes }: CollectOptions,
    onTooLong: (error: Error) => void
  ) {
    this.#stream = child[name]
    this.#isText = encoding !== null && encoding !== 'buffer'
    if (this.#isText) this.#stream?.setEncoding(encoding as BufferEncoding)
    this.#stream?.on('data', (chunk: string | Buffer) => {
      const bytes = Buffer.byteLength(chunk, this.#stream?.readableEncoding ?? undefined)
      const room = maxBufferBytes - this.#bytes
      this.#bytes += bytes
      this.#chunks.push(bytes > room ? chunk.slice(0, Math.max(room, 0)) : chunk)
      if (bytes <= room) return
      const error = new RangeError(`${name} maxBuffer length exceeded`)
      onTooLong(Object.assign(error, { code: 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER' }))
    })
  }

  get value(): string | Buffer {
    const isText = this.#isText || typeof this.#stream?.readableEncoding === 'string'
    return isText ? this.#chunks.join('') : Buffer.concat(this.#chunks as Buffer[])
  }
}
