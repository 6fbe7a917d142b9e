/**
 * The command line of a process. Windows passes one text, which the program splits into arguments. The quotes
 * are those of Node.js: for programs that follow the rules of the C runtime (CommandLineToArgvW).
 */

/** With `isVerbatim`, the arguments are joined as they are (`windowsVerbatimArguments`). */
export function commandLineOf(args: readonly string[], isVerbatim: boolean): string {
  return (isVerbatim ? args : args.map(quoteArgument)).join(' ')
}

export function quoteArgument(argument: string): string {
  if (argument === '') return '""'
  if (!/[ \t"]/.test(argument)) return argument
  // Backslashes are plain characters, except before a quote: then each of them is doubled. That includes the
  // closing quote.
  const escaped = argument.replace(
    /(\\*)("|$)/g,
    (_, backslashes: string, quote: string) => `${backslashes}${backslashes}${quote && '\\"'}`
  )
  return `"${escaped}"`
}
