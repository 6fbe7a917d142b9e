/** Express 4 has no types here. The tests only use what is the same as in Express 5. */
declare module 'express4' {
  export { default } from 'express'
}
