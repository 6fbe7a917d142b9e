/** Gives PM2 its orders, as its command line does. That is loaded anew for each of them; this is loaded once. */

import { createRequire } from 'node:module'

type Act = (...args: unknown[]) => void

const pm2: Record<string, Act> = createRequire(import.meta.url)('pm2')

process.on('message', ({ id, act, args }: { id: number; act: string; args: unknown[] }) => {
  pm2[act]?.(...args, (error?: unknown) => {
    process.send?.({ id, error: error ? String((error as Error).message ?? error) : undefined })
  })
})
process.on('disconnect', () => process.exit())
process.send?.('ready')
