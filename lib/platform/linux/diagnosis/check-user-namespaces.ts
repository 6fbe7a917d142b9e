/** Checks whether unprivileged users may create user namespaces, as the sandboxes of browsers do. */

import type { Finding } from '../../platform.js'
import { readText } from './read-system-file.js'

const obstacles = [
  ['user.max_user_namespaces', '0'],
  ['kernel.unprivileged_userns_clone', '0'],
  ['kernel.apparmor_restrict_unprivileged_userns', '1']
] as const

/** For information only: the guard creates none. */
export function checkUserNamespaces(): Finding {
  const name = 'user namespaces'
  const readSetting = (setting: string): string | undefined =>
    readText(`/proc/sys/${setting.replace('.', '/')}`)
  const means = 'The guard needs none; the sandbox of Chromium does.'
  if (readSetting('user.max_user_namespaces') === undefined) {
    return { name, severity: 'ok', says: `This kernel has none, or hides its settings. ${means}` }
  }
  const found = obstacles.filter(([setting, off]) => readSetting(setting) === off)
  if (found.length === 0) return { name, severity: 'ok', says: `No setting forbids them. ${means}` }
  const settings = found.map(([setting, off]) => `${setting}=${off}`).join(', ')
  return { name, severity: 'ok', says: `Unprivileged users cannot create them (${settings}). ${means}` }
}
