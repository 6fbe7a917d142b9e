// Has a hook that is not a function.
export const workerAbort = 'workerAbort'
export function workerExit() {}
