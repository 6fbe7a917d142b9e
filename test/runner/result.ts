/** The events that the process of a test file sends to the runner, one line of JSON each. */

export type TestEvent =
  | { readonly type: 'pass'; readonly name: string; readonly ms: number }
  | { readonly type: 'skip'; readonly name: string; readonly why: string }
  | {
      readonly type: 'fail'
      readonly name: string
      readonly ms: number
      readonly error: string
      /** The processes of the file that were alive when it failed. */
      readonly alive: string
    }
  /** The text of `t.diagnostic`. */
  | { readonly type: 'note'; readonly text: string }

/**
 * The file with the name of the test that has started last. Written synchronously,
 * because the process may end at any time.
 */
export const lastBegunFile = 'last-begun'
