/** Where a worker hangs: the keeper's question to the thread that watches, and its answer. */

/** Asks where the main thread is: one line of JSON. */
export interface StackSampleRequest {
  readonly type: 'sample-stack'
  /** How long the main thread may take to show that it runs JavaScript, in ms. Default 400. It may take as long again to stop. */
  readonly withinMs?: number
}

/** Where the main thread of a worker is: the answer, one line of JSON. */
export type StackSample =
  /** It runs JavaScript, in these frames, and for this route where one can be told. */
  | { readonly type: 'stack'; readonly stack: string; readonly route?: string }
  /** A debugger holds it. */
  | { readonly type: 'paused' }
  | { readonly type: 'unknown'; readonly why: string }
