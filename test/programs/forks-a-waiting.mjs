// Starts a waiting program, and waits.
import { spawn } from 'node:child_process'

const waits = new URL('waits.sh', import.meta.url)
spawn('sh', [waits.pathname], { stdio: 'inherit', detached: true })
setInterval(() => {}, 1_000)
