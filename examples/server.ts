/**
 * A single server process, for systemd and Kubernetes.
 *
 * npm run --silent build && PORT=3000 node build/examples/server.js
 */

import { serve } from './serve.js'

await serve()
