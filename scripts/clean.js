// Removes the compiler's output, so that a file that was deleted from the source is not in the package.
import { rmSync } from 'node:fs'

for (const folder of ['dist', 'build'])
  rmSync(new URL(`../${folder}`, import.meta.url), { recursive: true, force: true })
