/** Parses the responses on an HTTP/1 connection from its bytes, without relying on Node's own parser. */

import type { Received } from './requests.js'

type Framing =
  | { readonly name: 'length'; left: number }
  | { readonly name: 'chunked' }
  | { readonly name: 'until the end' }

interface Begun {
  readonly status: number
  readonly isLast: boolean
  readonly framing: Framing
  body: string
}

export class Answers {
  /** The complete responses, and at the end the one that was cut. */
  readonly all: Received[] = []
  bytes = 0
  #text = ''
  #now: Begun | undefined

  /** Parses more bytes. Throws if they are not HTTP. */
  feed(text: string): void {
    this.bytes += text.length
    this.#text += text
    while (this.#now === undefined ? this.#readHead() : this.#readBody(this.#now));
  }

  /** No more bytes will come. A clean end completes a response that has no other end. */
  end(isClean: boolean): void {
    const begun = this.#now
    if (begun === undefined) return
    this.#finish(begun, isClean && begun.framing.name === 'until the end')
  }

  #readHead(): boolean {
    const end = this.#text.indexOf('\r\n\r\n')
    if (end === -1) return false
    const [first = '', ...lines] = this.#text.slice(0, end).split('\r\n')
    this.#text = this.#text.slice(end + 4)
    const [, version, code] = /^HTTP\/1\.([01]) (\d{3}) /.exec(first) ?? []
    if (code === undefined) throw new Error(`no answer begins with ${JSON.stringify(first)}`)
    const headers = new Map(
      lines.map((line): [string, string] => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      })
    )
    const status = Number(code)
    const isLast = version === '0' || headers.get('connection')?.toLowerCase() === 'close'
    this.#now = { status, isLast, framing: framingOf(status, headers), body: '' }
    return true
  }

  /** Returns whether there may be more to read. */
  #readBody(begun: Begun): boolean {
    const { framing } = begun
    if (framing.name === 'chunked') return this.#readChunk(begun)
    const length = framing.name === 'length' ? framing.left : this.#text.length
    const part = this.#text.slice(0, length)
    begun.body += part
    this.#text = this.#text.slice(part.length)
    if (framing.name !== 'length') return false
    framing.left -= part.length
    if (framing.left > 0) return false
    this.#finish(begun, true)
    return true
  }

  #readChunk(begun: Begun): boolean {
    const [line, digits = ''] = /^([\da-f]+)\r\n/i.exec(this.#text) ?? []
    if (line === undefined) return false
    const length = Number.parseInt(digits, 16)
    const end = line.length + length + 2
    if (this.#text.length < end) return false
    begun.body += this.#text.slice(line.length, end - 2)
    this.#text = this.#text.slice(end)
    if (length === 0) this.#finish(begun, true)
    return true
  }

  #finish({ status, body, isLast }: Begun, isWhole: boolean): void {
    this.#now = undefined
    this.all.push({ status, body, isLast, isWhole })
  }
}

function framingOf(status: number, headers: ReadonlyMap<string, string>): Framing {
  // After 101, what follows the head belongs to another protocol.
  if (status === 101 || status === 204 || status === 304) return { name: 'length', left: 0 }
  if (headers.get('transfer-encoding') === 'chunked') return { name: 'chunked' }
  const length = headers.get('content-length')
  return length === undefined ? { name: 'until the end' } : { name: 'length', left: Number(length) }
}
