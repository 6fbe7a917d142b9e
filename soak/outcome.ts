/** What a client of the soak saw at the end of its request. */
export type Outcome =
  | {
      readonly kind: 'answered'
      readonly status: number
      readonly body: string
      /** Whether the connection was cut before the end of the response. */
      readonly isCut: boolean
    }
  /** The client itself closed the connection. */
  | { readonly kind: 'left' }
  | { readonly kind: 'failed'; readonly code: string }
