/** Tells which C library this process uses, where that makes a difference. */

interface Report {
  readonly header?: { readonly glibcVersionRuntime?: string }
  readonly sharedObjects?: readonly string[]
}

let name: string | undefined

/** `musl`, or glibc with its version. Takes some milliseconds the first time. */
export function cLibraryName(): string {
  name ??= readName()
  return name
}

/** Where execvp(3) looks for a program if PATH is not set. */
export function defaultPath(): string {
  return cLibraryName() === 'musl' ? '/usr/local/bin:/bin:/usr/bin' : '/bin:/usr/bin'
}

function readName(): string {
  // Skip the network part of the report, which may look up names. Supported by Node 20.13 and newer.
  Object.assign(process.report, { excludeNetwork: true })
  const { header, sharedObjects = [] } = process.report.getReport() as Report
  // musl's loader is the library itself.
  const isMusl = sharedObjects.some((path) => path.includes('/ld-musl-'))
  return isMusl ? 'musl' : `glibc ${header?.glibcVersionRuntime ?? ''}`.trimEnd()
}
