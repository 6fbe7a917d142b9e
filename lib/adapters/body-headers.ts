/** Removes the headers that describe the body of an earlier answer: an error has another body. */

const bodyHeaders = [
  'accept-ranges',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-range',
  'content-type',
  'etag',
  'last-modified',
  'trailer',
  'transfer-encoding'
]

/** Works on a response of Node and on a reply of Fastify. */
export function removeBodyHeaders(response: { removeHeader(name: string): unknown }): void {
  for (const name of bodyHeaders) response.removeHeader(name)
}
