/** The result of one benchmark: what was measured, and whether it is what was aimed at. It is what the JSON files hold. */

import type { Contestant } from './contestants.js'
import type { Machine } from './machine.js'
import type { Summary } from './statistics.js'

/** One contestant in one case. */
export interface Measure extends Summary {
  readonly contestant: Contestant
  /** Such as `2 GB`; empty where there is one case alone. */
  readonly case: string
}

/** A figure that the project aims at. */
export interface Aim {
  /** Such as `median of guard / child_process at 50 MB`. */
  readonly what: string
  readonly value: number
  readonly unit: string
  readonly bound: { readonly atMost: number } | { readonly atLeast: number }
  readonly isReached: boolean
}

/** Measures that share a unit, and a chart. */
export interface Panel {
  /** What is measured, with its unit: the label of the chart's axis. */
  readonly quantity: string
  readonly unit: string
  readonly scale: 'linear' | 'log'
  /** What the cases are, such as `resident memory of the worker`; empty where there is one case alone. */
  readonly cases: string
  readonly measures: readonly Measure[]
}

export interface Result {
  /** The benchmark's own name, which is that of its file. */
  readonly name: string
  /** One sentence: what the figures show. */
  readonly title: string
  readonly isShort: boolean
  readonly machine: Machine
  readonly panels: readonly Panel[]
  readonly aims: readonly Aim[]
  /** What the figures alone do not tell, such as a contestant that could not be measured, and why. */
  readonly notes: readonly string[]
}
