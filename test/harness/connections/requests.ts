/**
 * The requests of a generated connection: what their handlers do, their
 * deadlines, and which responses are right.
 */

import fc from 'fast-check'

/** Handlers that answer by themselves. */
const settling = ['answers', 'runs', 'leaves', 'stdout', 'stream', 'slow'] as const
/** Handlers that never settle, or whose response never ends. */
const hanging = ['hangs', 'waits', 'commands', 'endless', 'hijacks', 'events', 'floods'] as const
/** Handlers of requests with a body. The last two never settle. */
const uploading = ['ignores', 'reads', 'holds', 'feeds'] as const

/** The kinds without a body, for which every server has a route. */
export const plainKinds = [...settling, ...hanging] as const
export const kinds = [...plainKinds, ...uploading, 'socket'] as const
/**
 * - `answers`: answers at once
 * - `runs`: answers when a command has ended
 * - `leaves`: answers and leaves a command running
 * - `stdout`, `stream`: responds with the output of a command
 * - `slow`: responds in pieces while a command runs
 * - `hangs`: never answers
 * - `waits`: has a scope and never answers
 * - `commands`: runs a command that never ends
 * - `endless`: responds with output that begins and never ends
 * - `hijacks`: writes the beginning of a response past the framework, and runs a command
 * - `events`: sends server-sent events without end, and runs a command
 * - `floods`: responds with endless output, as fast as it is read
 * - `ignores`: answers at once without reading the body
 * - `reads`: answers when it has read the body
 * - `holds`: runs a command and never reads the body
 * - `feeds`: passes the body to a command that does not read it
 * - `socket`: a WebSocket with a command
 */
export type Kind = (typeof kinds)[number]

/** `soon` passes when the handler has done its part; `distant` does not pass during a test. */
export const deadlines = ['soon', 'distant', 'none'] as const
export type Deadline = (typeof deadlines)[number]

export interface Sent {
  readonly kind: Kind
  readonly deadline: Deadline
  /** The size of the body in bytes; 0 for no body. */
  readonly upload: number
  /** Whether only the first half of the body is sent. */
  readonly isHalf: boolean
}

/**
 * In bytes. The small one fits into Node's buffers; the large one is far more
 * than Node and the kernel buffer (FAULTS 88).
 */
const uploadBytes = { small: 16, large: 2 * 1024 * 1024 }

const deadline = fc.constantFrom(...deadlines)
const plain = fc.record({
  kind: fc.constantFrom(...plainKinds),
  deadline,
  upload: fc.constant(0),
  isHalf: fc.constant(false)
})
const upload = fc.record({
  kind: fc.constantFrom(...uploading),
  deadline,
  upload: fc.oneof(
    { weight: 6, arbitrary: fc.constant(uploadBytes.small) },
    { weight: 1, arbitrary: fc.constant(uploadBytes.large) }
  ),
  isHalf: fc.boolean()
})

/** Any request except a WebSocket's. */
export const request: fc.Arbitrary<Sent> = fc.oneof(
  { weight: 4, arbitrary: plain },
  { weight: 1, arbitrary: upload }
)

export const socketRequest: fc.Arbitrary<Sent> = deadline.map((deadline) => ({
  kind: 'socket',
  deadline,
  upload: 0,
  isHalf: false
}))

/** Whether the request gets a complete response by itself at some time. */
export function settles({ kind, deadline, isHalf }: Sent): boolean {
  if (deadline === 'soon' || (settling as readonly string[]).includes(kind)) return true
  return kind === 'ignores' || (kind === 'reads' && !isHalf)
}

/** Whether later requests are not parsed before this one is over. */
export function blocksOthers({ upload, isHalf }: Sent): boolean {
  return isHalf || upload > uploadBytes.small
}

/**
 * Whether its deadline may cut the connection instead of giving a response, or reach the client as a reset.
 */
export function mayCut(sent: Sent): boolean {
  const begins = ['stdout', 'stream', 'slow', 'endless', 'hijacks', 'events', 'floods', 'socket']
  return (sent.deadline === 'soon' && begins.includes(sent.kind)) || blocksOthers(sent)
}

export function pathOf({ kind, deadline }: Sent, name: string): string {
  return `/${kind}/${deadline}?name=${name}`
}

/** A response as the client has received it. */
export interface Received {
  readonly status: number
  readonly body: string
  /** Whether it is complete by the rules of its protocol. */
  readonly isWhole: boolean
  /** Whether the server has announced that it closes the connection after it. */
  readonly isLast: boolean
}

/** What is wrong with a response to that request; undefined if nothing. */
export function faultOf(sent: Sent, name: string, { status, body, isWhole }: Received): string | undefined {
  const shown = `${status} ${JSON.stringify(body.slice(0, 200))}${isWhole ? '' : ' (cut)'}`
  if (status === 101) return sent.kind === 'socket' ? undefined : shown
  if (status === 503) {
    const isLate = body.includes('ERR_SUBPROCESS_DEADLINE') || !isWhole
    return sent.deadline === 'soon' && isLate ? undefined : shown
  }
  if (status !== 200) return shown
  const { text, isEndless } = bodyOf(sent, name)
  if (isWhole) return !isEndless && body === text ? undefined : shown
  if (!isEndless || !repeating.includes(sent.kind)) return text.startsWith(body) ? undefined : shown
  return text.repeat(body.length / text.length + 1).startsWith(body) ? undefined : shown
}

const repeating: readonly string[] = ['events', 'floods']

function bodyOf({ kind, upload }: Sent, name: string): { text: string; isEndless: boolean } {
  const isEndless = (hanging as readonly string[]).includes(kind)
  if (kind === 'stdout' || kind === 'stream' || isEndless)
    return { text: kind === 'events' ? `data: ${name}\n\n` : `${name}\n`, isEndless }
  if (kind === 'slow') return { text: [1, 2, 3].map((piece) => `${name} ${piece}\n`).join(''), isEndless }
  return { text: kind === 'reads' ? `${name} ${upload}` : name, isEndless }
}
