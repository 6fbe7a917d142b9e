/** A program that echoes every message. */

process.on('message', (message) => process.send?.({ echo: message, pid: process.pid }))
