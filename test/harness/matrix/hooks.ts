/** The hooks of the matrix: what stands between the end of a request and its answer. */

import type { IncomingMessage } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import fastifyCompress from '@fastify/compress'
import compression from 'compression'
import type { ErrorRequestHandler, Express } from 'express'
import type { FastifyError, FastifyInstance } from 'fastify'

/** Long enough for a command to end while the answer waits. */
const slowMs = 300

/** Told when a hook begins to hold up the answer to a request. */
type OnSlow = (request: IncomingMessage) => void

export interface Hook {
  readonly name: string
  /** Not there where Express has nothing like it. */
  readonly express?: (app: Express) => void
  /** To be called after the routes. */
  readonly expressLast?: (app: Express, onSlow: OnSlow) => void
  readonly fastify: (app: FastifyInstance, onSlow: OnSlow) => Promise<void>
  /** The client says that it takes gzip. */
  readonly isCompressed?: boolean
}

function bodyOf({ statusCode = 500, code, message }: Error & { statusCode?: number; code?: string }) {
  return { status: statusCode, body: { code, message } }
}

export const hooks: readonly Hook[] = [
  { name: 'no hooks', express: () => {}, fastify: async () => {} },
  {
    name: 'slow error handler',
    express: () => {},
    expressLast(app, onSlow) {
      const handle: ErrorRequestHandler = async (error, req, res, next) => {
        onSlow(req)
        await pause(slowMs)
        // As the guide of Express says.
        if (res.headersSent) {
          next(error)
          return
        }
        const { status, body } = bodyOf(error)
        res.status(status).json(body)
      }
      app.use(handle)
    },
    async fastify(app, onSlow) {
      app.setErrorHandler(async (error: FastifyError, { raw }, reply) => {
        onSlow(raw)
        await pause(slowMs)
        const { status, body } = bodyOf(error)
        return reply.status(status).send(body)
      })
    }
  },
  {
    name: 'slow onError',
    async fastify(app, onSlow) {
      app.addHook('onError', async ({ raw }) => {
        onSlow(raw)
        await pause(slowMs)
      })
    }
  },
  {
    name: 'slow onSend',
    async fastify(app, onSlow) {
      app.addHook('onSend', async ({ raw }, _reply, payload) => {
        onSlow(raw)
        await pause(slowMs)
        return payload
      })
    }
  },
  {
    name: 'compress',
    isCompressed: true,
    express: (app) => void app.use(compression({ threshold: 0 })),
    async fastify(app) {
      await app.register(fastifyCompress, { threshold: 0 })
    }
  }
]
