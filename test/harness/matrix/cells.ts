/** All cells of the matrix, in batches that share a server: a handler, an ending, a hook and a kind of server. */

import { kinds } from '../kinds.js'
import { endings } from './endings.js'
import { handlers } from './handlers.js'
import { hooks } from './hooks.js'

/** Names, so that it can be sent to another process. */
export interface Batch {
  readonly kind: string
  readonly hook: string
  readonly ending: string
  readonly handlers: readonly string[]
}

/** Every cell that there is. */
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
            .filter(({ ignoresHooks }) => !ignoresHooks || hook === hooks[0])
            // Node reads away what nobody has begun to read when its command has ended, with a guard or without.
            .filter(
              ({ readsLate }) => !(readsLate && hook.name === 'slow onSend' && ending.stage === 'answer')
            )
            .map(({ name }) => name)
        }))
      )
  )
}

/** What is wrong with a batch and with none of its handlers that is known. */
export const nobody = 'no handler in particular'

/** By this name a cell is run again. */
export function nameOf({ kind, hook, ending }: Batch, handler: string): string {
  return `${kind} | ${hook} | ${ending} | ${handler}`
}

export function cellsOf(batches: readonly Batch[]): string[] {
  return batches.flatMap((batch) => batch.handlers.map((handler) => nameOf(batch, handler)))
}

/** The cells for which this holds, in as few batches as before. */
export function onlyCells(batches: readonly Batch[], isWanted: (name: string) => boolean): Batch[] {
  return batches
    .map((batch) => ({ ...batch, handlers: batch.handlers.filter((name) => isWanted(nameOf(batch, name))) }))
    .filter((batch) => batch.handlers.length > 0)
}
