// How PM2 starts and stops the server. The reasons and the measurements: docs/deployment.md.

const { join } = require('node:path')

module.exports = {
  apps: [
    {
      name: 'fastify-app',
      script: join(__dirname, '../../build/examples/pm2/server.js'),
      // Only `cluster` reloads without a gap: `pm2 reload` starts the next worker before it ends the last.
      exec_mode: 'cluster',
      instances: 2,
      // The server says when it listens, by process.send('ready').
      wait_ready: true,
      listen_timeout: 10_000,
      // Above drain + grace + a second of the server. PM2's own 1,600 ms are less than the default grace.
      kill_timeout: 10_000,
      // With true (PM2's default) SIGINT goes to the keeper's subprocesses too: requests in flight fail
      // instead of being drained, and after kill_timeout the keeper is killed before it has ended what is
      // newer.
      treekill: false,
      // A server that dies at once is started again after 100 ms, then after ever longer, up to 15 s.
      exp_backoff_restart_delay: 100
    }
  ]
}
