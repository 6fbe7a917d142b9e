/** What one guard asks of the shared keeper. */

import type { Containment } from '../containment-level.js'
import type { Logger } from '../log.js'
import type { WorkerSettings } from '../wire/messages.js'
import type { KeeperLink } from './keeper-link.js'

export interface KeeperClient {
  readonly settings: WorkerSettings
  /** The URL of a module of hooks. */
  readonly hooks: string | undefined
  /** The path of the keeper's file; undefined for the one of this package. */
  readonly keeperPath: string | undefined
  /** Whether no command may get rights that the worker does not have. */
  readonly noNewPrivileges: boolean
  /** The weakest level that is accepted. */
  readonly containment: Containment
  readonly log: Logger
  /** The route of a value if that is a request, else undefined. */
  routeOf(value: unknown): string | undefined
  /** The keeper was lost, with all scopes that it had. */
  keeperLost(link: KeeperLink): void
}
