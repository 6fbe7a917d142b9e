/** Chooses how processes are found on a system without `/proc`: by ps, or else by `tree-kill`. */

import type { Platform } from '../platform.js'
import { canListChildren } from './children-by-tree-kill.js'
import { posixByPs } from './posix-by-ps.js'
import { posixWithoutList } from './posix-without-list.js'
import { whyNoList } from './why-no-list.js'

/** Where neither can be had, registration fails with the reason (`whyUnsupported`). */
export function choosePosix(): Platform {
  const why = whyNoList()
  return why === undefined || !canListChildren() ? posixByPs : posixWithoutList(why)
}
