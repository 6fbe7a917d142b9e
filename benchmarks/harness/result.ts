/** The result of one benchmark, as the JSON files contain it. */

import type { Contestant } from './contestants.js'
import type { Machine } from './machine.js'
import type { Summary } from './statistics.js'

/** One contestant in one case. */
export interface Measure extends Summary {
  readonly contestant: Contestant
  /** For example `2 GB`; empty if there is only one case. */
  readonly case: string
}

/** A figure with the project's aim for it. */
export interface Aim {
  /** For example `median of guard / child_process at 50 MB`. */
  readonly what: string
  readonly value: number
  readonly unit: string
  readonly bound: { readonly atMost: number } | { readonly atLeast: number }
  readonly isReached: boolean
}

/** Measures with the same unit, in one chart. */
export interface Panel {
  /** What is measured: the label of the chart's axis. */
  readonly quantity: string
  readonly unit: string
  readonly scale: 'linear' | 'log'
  /** What the cases are, for example `resident memory of the worker`; empty if there is only one case. */
  readonly cases: string
  readonly measures: readonly Measure[]
}

export interface Result {
  /** The name of the benchmark and its file. */
  readonly name: string
  /** One sentence about what the figures show. */
  readonly title: string
  readonly isShort: boolean
  readonly machine: Machine
  readonly panels: readonly Panel[]
  readonly aims: readonly Aim[]
  /** Remarks that the figures alone do not show, for example why a contestant could not be measured. */
  readonly notes: readonly string[]
}
