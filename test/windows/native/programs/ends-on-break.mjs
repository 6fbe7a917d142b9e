// Says that it is ready, and exits with 9 at Ctrl-Break.
process.on('SIGBREAK', () => process.exit(9))
process.stdout.write('ready')
setInterval(() => {}, 60_000)
