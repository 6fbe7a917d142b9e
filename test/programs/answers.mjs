// A child with a channel: reports its arguments, echoes each message, and ends when told or disconnected.
process.send({
  argv: process.argv.slice(2),
  execArgv: process.execArgv,
  given: process.env.GIVEN,
  cwd: process.cwd()
})
process.on('message', (message, handle) => {
  if (message === 'disconnect') process.disconnect()
  else if (message === 'end') process.exit(3)
  else if (message === 'take') handle.end('taken')
  else process.send(message)
})
if (process.argv.includes('talk')) process.stdout.write('to stdout')
