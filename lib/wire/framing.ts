/** The framing of messages on a socket: each message is one line of JSON. */

import type { KeeperMessage, WorkerMessage } from './messages.js'

/** The line of a message. JSON contains no raw line feed, so a line feed ends the message. */
export function encode(message: WorkerMessage | KeeperMessage): string {
  return `${JSON.stringify(message)}\n`
}

/** The line of an `environment` message whose environment is already JSON. */
export function encodeEnvironment(json: string): string {
  return `{"type":"environment","env":${json}}\n`
}

/** Splits a stream of bytes into messages. */
export class Decoder<Message> {
  /** The parts of the line that is not complete yet. */
  #parts: Buffer[] = []

  /**
   * Adds bytes and returns the messages that they complete.
   * @throws {SyntaxError} for a line that is not JSON.
   */
  decode(bytes: Buffer): Message[] {
    const messages: Message[] = []
    let start = 0
    for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
      this.#parts.push(bytes.subarray(start, end))
      messages.push(JSON.parse(Buffer.concat(this.#parts).toString('utf8')) as Message)
      this.#parts = []
      start = end + 1
    }
    if (start < bytes.length) this.#parts.push(bytes.subarray(start))
    return messages
  }
}
