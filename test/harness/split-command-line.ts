/** Splits a command line of Windows as a C program does: the documented rules of the C runtime. */

/** The arguments after the name of the program. */
export function splitCommandLine(line: string): string[] {
  const args: string[] = []
  let at = line.startsWith('"') ? line.indexOf('"', 1) + 1 : /^\S*/.exec(line)?.[0].length
  for (;;) {
    at = skipBlanks(line, at ?? 0)
    if (at >= line.length) return args
    let argument = ''
    let isQuoted = false
    for (; at < line.length && (isQuoted || !' \t'.includes(line[at] as string)); at++) {
      const backslashes = /^\\*/.exec(line.slice(at))?.[0].length ?? 0
      const isBeforeQuote = line[at + backslashes] === '"'
      argument += '\\'.repeat(isBeforeQuote ? backslashes >> 1 : backslashes)
      at += backslashes
      if (!isBeforeQuote) {
        if (backslashes > 0) at--
        else argument += line[at]
      } else if (backslashes % 2 === 1) argument += '"'
      else if (isQuoted && line[at + 1] === '"') argument += line[at++]
      else isQuoted = !isQuoted
    }
    args.push(argument)
  }
}

function skipBlanks(line: string, at: number): number {
  return at + (/^[ \t]*/.exec(line.slice(at))?.[0].length ?? 0)
}

/** All texts of at most so many letters. */
export function allTexts(letters: readonly string[], maxLength: number): string[] {
  const texts = ['']
  for (let from = 0, length = 0; length < maxLength; length++) {
    const to = texts.length
    for (; from < to; from++) for (const letter of letters) texts.push(texts[from] + letter)
  }
  return texts
}
