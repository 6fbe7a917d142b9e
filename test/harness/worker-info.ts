/** What a hook gets for a worker that hung, with all optional fields. */

import type { WorkerInfo } from '../../lib/wire/worker-info.js'

const sleep = { pid: 101, parent: 100, command: 'sleep 1000', ageMs: 1_500, memoryBytes: 4_096, cpuMs: 10 }

export const info: WorkerInfo = {
  worker: 99,
  why: 'hung',
  silentMs: 2_000,
  stack: 'at block (file:///app.js:1:1)\n    at ümlaut',
  route: 'GET /block',
  scopes: [
    {
      id: '1',
      route: 'GET /block',
      openMs: 2_100,
      deadlineInMs: -100,
      usage: { cpuMs: 10 },
      processes: [sleep]
    },
    { id: '2', openMs: 10, usage: {}, processes: [] }
  ],
  unscoped: [{ ...sleep, pid: 102 }]
}
