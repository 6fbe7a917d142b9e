/**
 * Gives PM2 orders, as its command line does. The command line is loaded
 * again for each order, this process only once.
 */

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
