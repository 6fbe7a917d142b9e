/** Tells a refusal of the system to have a process in a cgroup from other failures. */

/** The system refuses to have a process in a cgroup. Whatever else fails in the meantime is another error. */
export class CgroupError extends Error {
  constructor(folder: string, cause: unknown) {
    super(`a process cannot be started in the cgroup ${folder}: ${(cause as Error).message}`, { cause })
  }
}
