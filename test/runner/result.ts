/** What the process of a test file tells the runner: one line of JSON for each event. */

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
  /** What a test says with `t.diagnostic`. */
  | { readonly type: 'note'; readonly text: string }

/** The file that holds the name of the test that has begun last: written at once, since a process may end at any time. */
export const lastBegunFile = 'last-begun'
