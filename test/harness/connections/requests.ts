/** The requests of a generated connection: what their handlers do, how long they may take, and which answers are right. */

import fc from 'fast-check'

/** What the handlers do that answer by themselves. */
const settling = ['answers', 'runs', 'leaves', 'stdout', 'stream', 'slow'] as const
/** What the handlers do that never settle, or whose answer never ends. */
const hanging = ['hangs', 'waits', 'commands', 'endless', 'hijacks', 'events', 'floods'] as const
/** What the handlers of requests with a body do; the last two never settle. */
const uploading = ['ignores', 'reads', 'holds', 'feeds'] as const

/** Those that need no body, and of which each server has a route. */
export const plainKinds = [...settling, ...hanging] as const
export const kinds = [...plainKinds, ...uploading, 'socket'] as const
/**
 * - `answers`: at once
 * - `runs`: answers when a command has ended
 * - `leaves`: answers, and leaves a command
 * - `stdout`, `stream`: the answer is the output of a command
 * - `slow`: the answer comes in pieces, while a command runs
 * - `hangs`: never answers
 * - `waits`: has a scope and never answers
 * - `commands`: runs a command that never ends
 * - `endless`: a command's output that begins and never ends
 * - `hijacks`: writes the beginning of an answer past the framework, and runs a command
 * - `events`: server-sent events without end, and a command
 * - `floods`: a command's output without end, as fast as it is read
 * - `ignores`: answers at once without a look at the body
 * - `reads`: answers when it has the whole body
 * - `holds`: runs a command and never reads the body
 * - `feeds`: gives the body to a command that does not read it
 * - `socket`: a WebSocket, and a command
 */
export type Kind = (typeof kinds)[number]

/** `soon` passes when the handler has done its part, `distant` not while a test runs. */
export const deadlines = ['soon', 'distant', 'none'] as const
export type Deadline = (typeof deadlines)[number]

export interface Sent {
  readonly kind: Kind
  readonly deadline: Deadline
  /** Size of the body, in bytes; 0 for none. */
  readonly upload: number
  /** Whether only the first half of the body is ever sent. */
  readonly isHalf: boolean
}

/** Fits into the buffers of Node, and is far more than these and the kernel's hold (FAULTS 88). */
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

/** Any request but a WebSocket's. */
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

/** Whether the request has its whole answer at some time without anybody's doing. */
export function settles({ kind, deadline, isHalf }: Sent): boolean {
  if (deadline === 'soon' || (settling as readonly string[]).includes(kind)) return true
  return kind === 'ignores' || (kind === 'reads' && !isHalf)
}

/** Whether requests behind it are not parsed before it is over. */
export function blocksOthers({ upload, isHalf }: Sent): boolean {
  return isHalf || upload > uploadBytes.small
}

/** Whether its deadline can only cut the connection, or may reach the client as nothing but a reset. */
export function mayCut(sent: Sent): boolean {
  const begins = ['stdout', 'stream', 'slow', 'endless', 'hijacks', 'events', 'floods', 'socket']
  return (sent.deadline === 'soon' && begins.includes(sent.kind)) || blocksOthers(sent)
}

export function pathOf({ kind, deadline }: Sent, name: string): string {
  return `/${kind}/${deadline}?name=${name}`
}

/** An answer as the client has it. */
export interface Received {
  readonly status: number
  readonly body: string
  /** Whether its end has come, by whatever the protocol says is the end. */
  readonly isWhole: boolean
  /** Whether the server has said that it will close the connection after it. */
  readonly isLast: boolean
}

/** What is wrong with an answer to that request; undefined for nothing. */
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
