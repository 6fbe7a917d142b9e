/** `subprocess-guard doctor`: shows which containment this machine allows, and what prevents more. */

import { Command } from 'commander'
import { isWeaker } from '../containment-level.js'
import { platform } from '../platform/current.js'
import { type Diagnosis, examine } from './doctor/run-checks.js'
import { writeWrapped } from './terminal-output.js'

export function doctorCommand(): Command {
  return new Command('doctor')
    .description(
      'show which containment this machine allows, and what prevents more; exit status 0 if it is subreaper or better, or the best of this system'
    )
    .option('--json', 'print an object')
    .action(doctor)
}

async function doctor({ json }: { json?: true }): Promise<void> {
  const diagnosis = await examine()
  process.exitCode = isGood(diagnosis.containment) ? 0 : 1
  if (json) process.stdout.write(`${JSON.stringify(diagnosis, null, 2)}\n`)
  else writeFindings(diagnosis)
}

function isGood(containment: Diagnosis['containment']): boolean {
  if (containment === 'none') return false
  return containment === platform.bestContainment || !isWeaker(containment, 'subreaper')
}

function writeFindings({ containment, why, findings }: Diagnosis): void {
  const nameWidth = Math.max(...findings.map(({ name }) => name.length))
  for (const { name, severity, says, toDo } of findings) {
    const lead = `${severity.padEnd('problem'.length)}  ${name.padEnd(nameWidth)}  `
    writeWrapped(lead, says)
    if (toDo !== undefined) writeWrapped(' '.repeat(lead.length), `-> ${toDo}`)
  }
  const reason = why === null ? '' : ` (${containment === 'none' ? 'the guard cannot run: ' : ''}${why})`
  writeWrapped('', `\ncontainment: ${containment}${reason}`)
}
