// Has a hook that cannot be called.
export const workerAbort = 'workerAbort'
export function workerExit() {}
