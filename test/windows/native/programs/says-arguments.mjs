// Writes its arguments, environment and directory to the pipe that SAY_TO names.
import { connect } from 'node:net'

const { SAY_TO, ...env } = process.env
const said = { args: process.argv.slice(2), env, cwd: process.cwd() }
connect(SAY_TO).end(JSON.stringify(said))
