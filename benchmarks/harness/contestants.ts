/** The names of all contestants, each with the same colour in every chart. */

/** The palette by Okabe and Ito, distinguishable with any colour vision. The guard has the strongest. */
const colours = {
  guard: '#d55e00',
  'guard, direct launch': '#e69f00',
  'guard, SIGKILL': '#e69f00',
  'guard, another worker': '#e69f00',
  'guard, no next keeper': '#e69f00',
  'guard, cgroup': '#d55e00',
  'guard, cgroup, SIGKILL': '#e69f00',
  'guard, subreaper': '#009e73',
  'guard, subreaper, SIGKILL': '#56b4e9',
  'no guard': '#000000',
  'no spawns': '#000000',
  child_process: '#0072b2',
  execa: '#009e73',
  'execa killDescendants': '#009e73',
  'execa cleanup': '#009e73',
  'guard, no limits': '#000000',
  wait4: '#d55e00',
  waitpid: '#999999',
  pidusage: '#cc79a7',
  'p-queue': '#0072b2',
  'empty hook': '#999999',
  handlerTimeout: '#56b4e9',
  'fastify-racing': '#cc79a7',
  'connect-timeout': '#56b4e9',
  'kill(-pgid)': '#000000',
  'cgroup.kill': '#000000',
  'kill(-pgid) by a sidecar': '#999999',
  'tree-kill': '#cc79a7',
  terminate: '#f0e442',
  fkill: '#56b4e9',
  pidtree: '#999999',
  'PM2 treekill': '#cc79a7'
} as const

export type Contestant = keyof typeof colours

/** The CSS colour of a contestant. */
export function colourOf(contestant: Contestant): string {
  return colours[contestant]
}
