// Cannot be loaded in its time. Blocks its thread as a loop does, but leaves the processor to others.
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
