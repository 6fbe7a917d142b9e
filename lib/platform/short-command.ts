/** Shortens a command line. */

// Enough to tell one ffmpeg from another, without log lines of kilobytes.
const maxLength = 200

/** A command line, cut to a length that fits a log line. */
export function shortCommand(command: string): string {
  return command.length > maxLength ? `${command.slice(0, maxLength)}…` : command
}
