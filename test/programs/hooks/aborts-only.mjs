// Has one of the two hooks.
export function workerAbort() {}
