/** Whether users without rights may make user namespaces, as sandboxes of browsers do. */

import type { Finding } from './finding.js'
import { textOf } from './text-of.js'

const obstacles = [
  ['user.max_user_namespaces', '0'],
  ['kernel.unprivileged_userns_clone', '0'],
  ['kernel.apparmor_restrict_unprivileged_userns', '1']
] as const

/** For information: the guard makes none. */
export function findUserNamespaces(): Finding {
  const name = 'user namespaces'
  const readSetting = (setting: string): string | undefined =>
    textOf(`/proc/sys/${setting.replace('.', '/')}`)
  const means = 'The guard needs none; the sandbox of Chromium does.'
  if (readSetting('user.max_user_namespaces') === undefined) {
    return { name, severity: 'ok', says: `This kernel has none, or does not tell. ${means}` }
  }
  const found = obstacles.filter(([setting, off]) => readSetting(setting) === off)
  if (found.length === 0) return { name, severity: 'ok', says: `No setting forbids them. ${means}` }
  const settings = found.map(([setting, off]) => `${setting}=${off}`).join(', ')
  return { name, severity: 'ok', says: `Users without rights cannot make them (${settings}). ${means}` }
}
