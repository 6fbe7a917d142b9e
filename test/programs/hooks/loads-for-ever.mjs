// Never finishes loading. Blocks its thread as a loop does, but without using the processor.
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
