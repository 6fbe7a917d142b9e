/** Many clients of a server: each has its own connection, sends one request and waits for the response. */

import { once } from 'node:events'
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import { act } from '../harness/actor.js'
import { sharedNow } from '../harness/clock.js'

/** The responses to all clients. */
export interface Answers {
  /** The number of responses by status. */
  readonly statuses: Record<string, number>
  /** When the last one had arrived, by the shared clock. */
  readonly lastAt: number
}

// The backlog of a listening socket is limited: a connection beyond it is delayed by a second.
const mostConnecting = 100

// One for each client: an agent with ten thousand connections searches all of them for each request.
const agents: Agent[] = []
const answering: Promise<number>[] = []
process.once('disconnect', leave)

/** Resolves when the request is sent. */
async function ask(port: number, path: string): Promise<void> {
  const agent = new Agent({ keepAlive: true })
  agents.push(agent)
  const asked = request({ host: '127.0.0.1', port, path, agent })
  answering.push(statusOf(asked))
  const [socket] = await once(asked, 'socket')
  if (socket.connecting) await once(socket, 'connect')
  asked.end()
}

async function statusOf(asked: ClientRequest): Promise<number> {
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  response.resume()
  await once(response, 'end')
  return response.statusCode as number
}

function leave(): void {
  for (const agent of agents.splice(0)) agent.destroy()
}

act({
  /** Sends that many requests at once. Resolves when all are sent. */
  async ask(port: number, path: string, count: number) {
    let left = count
    const lane = async (): Promise<void> => {
      while (left-- > 0) await ask(port, path)
    }
    await Promise.all(Array.from({ length: mostConnecting }, lane))
  },

  /** Resolves when every request has its response. */
  async answers(): Promise<Answers> {
    const statuses: Record<string, number> = {}
    for (const status of await Promise.all(answering.splice(0))) {
      statuses[status] = (statuses[status] ?? 0) + 1
    }
    return { statuses, lastAt: sharedNow() }
  },

  /** Closes the connections. */
  leave
})
