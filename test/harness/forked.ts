/** A program that answers every message with itself, for ever. */

process.on('message', (message) => process.send?.({ echo: message, pid: process.pid }))
