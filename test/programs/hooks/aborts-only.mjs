// Has only one of the two hooks.
export function workerAbort() {}
