// Exports its hook in a way that is only visible when the module runs.
const { appendFileSync } = require('node:fs')

class Hooks {
  word = 'commonjs'
  workerExit() {
    appendFileSync(process.env.TOLD, this.word)
  }
}
module.exports = new Hooks()
