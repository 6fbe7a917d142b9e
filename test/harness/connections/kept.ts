/** Regression cases: connections that broke a law once, shrunk. They always run first. */

import type { Plan } from './plan.js'
import type { Deadline, Kind, Sent } from './requests.js'

const large = 2 * 1024 * 1024

function sent(kind: Kind, deadline: Deadline = 'none', upload = 0, isHalf = false): Sent {
  return { kind, deadline, upload, isHalf }
}

const fastify = { server: 'Fastify', protocol: 'HTTP/1.1', isPipelined: true } as const
const express = { ...fastify, server: 'Express 5' } as const
const leaves = { how: 'leaves', when: { at: 'begun' } } as const

export const kept: Readonly<Record<string, Plan>> = {
  'ten pipelined requests, each with a command, and the client leaves (FAULTS 61)': {
    ...fastify,
    requests: Array.from({ length: 10 }, () => sent('commands')),
    ending: leaves
  },
  'the same with Express': {
    ...express,
    requests: Array.from({ length: 10 }, () => sent('commands')),
    ending: leaves
  },
  'an upload that nobody reads, and the client leaves (FAULTS 88)': {
    ...fastify,
    requests: [sent('feeds', 'none', large)],
    ending: leaves
  },
  'an HTTP/2 session that is destroyed during an endless response': {
    server: 'Fastify, HTTP/2',
    protocol: 'HTTP/2',
    isPipelined: true,
    requests: [
      sent('commands', 'soon'),
      sent('runs', 'soon'),
      sent('feeds', 'soon', 16, true),
      sent('answers', 'soon'),
      sent('hangs', 'soon'),
      sent('endless'),
      sent('hangs', 'soon')
    ],
    ending: { how: 'destroys', when: { at: 'received', bytes: 554 } }
  },
  'the deadline of a response that has begun but waits behind another one, before an upload': {
    ...fastify,
    requests: [sent('stream'), sent('hijacks', 'soon'), sent('ignores', 'soon', large)],
    ending: { how: 'reads' }
  },
  'a response over HTTP/1.0 that is cut shows as cut (FAULTS 53)': {
    ...fastify,
    protocol: 'HTTP/1.0',
    requests: [sent('endless', 'soon')],
    ending: { how: 'reads' }
  }
}
