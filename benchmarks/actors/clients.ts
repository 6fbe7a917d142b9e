/** Many clients of a server: each has a connection of its own, asks once, and waits for its answer. */

import { once } from 'node:events'
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import { act } from '../harness/actor.js'
import { sharedNow } from '../harness/clock.js'

/** What the clients have been told. */
export interface Answers {
  /** How many answers there were of each status. */
  readonly statuses: Record<string, number>
  /** When the last one had come, by the clock that all processes share. */
  readonly lastAt: number
}

// A listening socket keeps so many connections waiting, and a client beyond it waits for a second.
const mostConnecting = 100

// One for each client: an agent of ten thousand connections looks through all of them for each.
const agents: Agent[] = []
const answering: Promise<number>[] = []
process.once('disconnect', leave)

/** Asks, and resolves when the request is on its way. */
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
  /** Sends so many requests at once, and resolves when all are on their way. */
  async ask(port: number, path: string, count: number) {
    let left = count
    const lane = async (): Promise<void> => {
      while (left-- > 0) await ask(port, path)
    }
    await Promise.all(Array.from({ length: mostConnecting }, lane))
  },

  /** Resolves when every request has its answer. */
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
