export function workerAbort() {
  throw new Error('thrown by a hook')
}
