/**
 * All cells of the matrix: each combines a handler, an ending, a hook and a kind of
 * server. The cells of a batch share a server.
 */

import { kinds } from '../kinds.js'
import { endings } from './endings.js'
import { handlers } from './handlers.js'
import { hooks } from './hooks.js'

/** Has only names, so that it can be sent to another process. */
export interface Batch {
  readonly kind: string
  readonly hook: string
  readonly ending: string
  readonly handlers: readonly string[]
}

/** All cells. */
export function allBatches(): Batch[] {
  return kinds.flatMap((kind) =>
    hooks
      .filter(({ express }) => kind.name.startsWith('Fastify') || express !== undefined)
      .flatMap((hook) =>
        endings.map((ending) => ({
          kind: kind.name,
          hook: hook.name,
          ending: ending.name,
          handlers: handlers
            .filter(({ stages }) => stages.includes(ending.stage))
            .filter(({ limits }) => limits === undefined || kind.launch === 'keeper')
            .filter(({ ignoresHooks }) => !ignoresHooks || hook === hooks[0])
            // When a command has ended, Node reads and drops output that nobody
            // has begun to read, with or without a guard.
            .filter(
              ({ readsLate }) => !(readsLate && hook.name === 'slow onSend' && ending.stage === 'answer')
            )
            .map(({ name }) => name)
        }))
      )
  )
}

/** Stands for the handler in a violation that cannot be assigned to one. */
export const nobody = 'no handler in particular'

/** The name of a cell, by which it can be run again. */
export function nameOf({ kind, hook, ending }: Batch, handler: string): string {
  return `${kind} | ${hook} | ${ending} | ${handler}`
}

export function cellsOf(batches: readonly Batch[]): string[] {
  return batches.flatMap((batch) => batch.handlers.map((handler) => nameOf(batch, handler)))
}

/** Only the cells for which `isWanted` holds, in as few batches as before. */
export function onlyCells(batches: readonly Batch[], isWanted: (name: string) => boolean): Batch[] {
  return batches
    .map((batch) => ({ ...batch, handlers: batch.handlers.filter((name) => isWanted(nameOf(batch, name))) }))
    .filter((batch) => batch.handlers.length > 0)
}
