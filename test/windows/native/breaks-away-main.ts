/**
 * Tries to start a process outside its own job. Exits with the error number of the system, or 0. Usage: node
 * breaks-away-main.js
 */

import type * as Library from '../../../lib/platform/windows/windows-library.js'
import { compiled } from '../../harness/compiled.js'

const CREATE_BREAKAWAY_FROM_JOB = 0x100_0000 // winbase.h

const { loadWindowsLibrary } = await compiled<typeof Library>('platform/windows/windows-library')
const { declare, lastError, pointerBytes } = await loadWindowsLibrary()
const create = declare(
  'int __stdcall CreateProcessW(void *, const char16_t *, void *, void *, int, uint32_t, void *, void *, void *, void *)'
)
const startup = Buffer.alloc(256)
startup.writeUInt32LE(pointerBytes === 8 ? 104 : 68)
const created = Buffer.alloc(2 * pointerBytes + 8)
const flags = CREATE_BREAKAWAY_FROM_JOB
const isCreated = create(null, 'cmd.exe /c exit', null, null, 0, flags, null, null, startup, created) !== 0
process.exit(isCreated ? 0 : lastError())
