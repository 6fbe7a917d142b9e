/** placeholder until the native layer is merged */
export interface WindowsProcess {
  readonly pid: number
  readonly parent: number
  readonly name: string
  readonly threads: number
  readonly session: number
  readonly createdAt: number
  readonly cpuMs: number
  readonly memoryBytes: number
}
export type ListProcesses = () => WindowsProcess[]
