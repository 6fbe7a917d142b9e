// How PM2 starts and stops the server. Reasons and measurements are in docs/deployment.md.

const { join } = require('node:path')

module.exports = {
  apps: [
    {
      name: 'fastify-app',
      script: join(__dirname, '../../build/examples/pm2/server.js'),
      // Only `cluster` reloads without downtime: `pm2 reload` starts the next worker before it ends the old
      // one.
      exec_mode: 'cluster',
      instances: 2,
      // The server calls process.send('ready') when it listens.
      wait_ready: true,
      listen_timeout: 10_000,
      // More than the server's drain + grace + 1 s. PM2's default of 1,600 ms is less than the default grace.
      kill_timeout: 10_000,
      // With true (PM2's default), the keeper's subprocesses get SIGINT, too: requests in flight fail instead
      // of being drained, and after kill_timeout PM2 kills the keeper before it has ended newer processes.
      treekill: false,
      // A server that ends immediately restarts after 100 ms, then with increasing delays of up to 15 s.
      exp_backoff_restart_delay: 100
    }
  ]
}
