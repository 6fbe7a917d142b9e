// Removes what the compiler wrote, so that a file deleted from the source is gone from the package too.
import { rmSync } from 'node:fs'

for (const folder of ['dist', 'build'])
  rmSync(new URL(`../${folder}`, import.meta.url), { recursive: true, force: true })
