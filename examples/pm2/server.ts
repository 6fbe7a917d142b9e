/**
 * A server for PM2, in cluster or fork mode. ecosystem.config.cjs configures its start and stop.
 *
 * npm run --silent build && PORT=3000 npx pm2 start examples/pm2/ecosystem.config.cjs
 */

import { serve } from '../serve.js'

await serve()
// With `wait_ready`, PM2 now considers the server started, and ends the one that it replaces.
process.send?.('ready')
