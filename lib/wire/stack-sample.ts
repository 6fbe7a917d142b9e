/** Where the main thread of a worker is: the keeper's request to the watch thread, and the answer. */

/** Asks for a stack sample: one line of JSON. */
export interface StackSampleRequest {
  readonly type: 'sample-stack'
  /**
   * How long the main thread may take to show that it runs JavaScript, in ms, and then again to pause.
   * Default 400.
   */
  readonly withinMs?: number
}

/** The answer: one line of JSON. */
export type StackSample =
  /** The main thread runs JavaScript in these frames, and for this route if one was found. */
  | { readonly type: 'stack'; readonly stack: string; readonly route?: string }
  /** A debugger has paused the main thread. */
  | { readonly type: 'paused' }
  | { readonly type: 'unknown'; readonly why: string }
