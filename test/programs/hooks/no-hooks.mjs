// Has no hooks.
export const workerAborted = () => {}
