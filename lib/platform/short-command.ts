/** Shortens a command line. */

// Enough to tell one ffmpeg from another, without log lines of kilobytes.
const longestCommand = 200

/** A command line, cut to a length that fits a log line. */
export function shortCommand(command: string): string {
  return command.length > longestCommand ? `${command.slice(0, longestCommand)}…` : command
}
