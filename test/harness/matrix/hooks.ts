/** The hooks of the matrix: what runs between the end of a request and its response. */

import type { IncomingMessage } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import fastifyCompress from '@fastify/compress'
import compression from 'compression'
import type { ErrorRequestHandler, Express } from 'express'
import type { FastifyError, FastifyInstance } from 'fastify'

/** Long enough for a command to end while the response waits. In ms. */
const slowMs = 300

/** Called when a hook begins to delay the response to a request. */
type OnSlow = (request: IncomingMessage) => void

export interface Hook {
  readonly name: string
  /** Missing if Express has no equivalent. */
  readonly express?: (app: Express) => void
  /** Called after the routes are declared. */
  readonly expressLast?: (app: Express, onSlow: OnSlow) => void
  readonly fastify: (app: FastifyInstance, onSlow: OnSlow) => Promise<void>
  /** Whether the client accepts gzip. */
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
        // As the guide of Express recommends.
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
