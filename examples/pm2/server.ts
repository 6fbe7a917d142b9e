/**
 * One server for PM2, in either of its modes. How it is started and stopped: ecosystem.config.cjs.
 *
 * npm run --silent build && PORT=3000 npx pm2 start examples/pm2/ecosystem.config.cjs
 */

import { serve } from '../serve.js'

await serve()
// PM2 counts the server as started now (`wait_ready`), and ends the one that it replaces.
process.send?.('ready')
