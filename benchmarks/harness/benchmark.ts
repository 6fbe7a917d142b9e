/** One benchmark: collects samples, compares them, prints the result and writes it to a file. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Contestant } from './contestants.js'
import { thisMachine } from './machine.js'
import type { Aim, Measure, Panel, Result } from './result.js'
import { readSettings, type Settings } from './settings.js'
import { type Summary, summaryOf } from './statistics.js'
import { markdownOf } from './table.js'

interface Samples {
  readonly contestant: Contestant
  readonly case: string
  readonly values: number[]
}

/** All samples of one quantity. */
export class Figures {
  readonly #about: Omit<Panel, 'measures'>
  readonly #all: Samples[] = []

  /** @internal */
  constructor(about: Omit<Panel, 'measures'>) {
    this.#about = about
  }

  /** Adds samples. */
  add(contestant: Contestant, of: string, ...values: number[]): void {
    if (!values.every(Number.isFinite))
      throw new RangeError(`${contestant} ${of}: ${values} are not all finite numbers`)
    let samples = this.#find(contestant, of)
    if (samples === undefined) {
      samples = { contestant, case: of, values: [] }
      this.#all.push(samples)
    }
    for (const value of values) samples.values.push(value)
  }

  /** The summary of a contestant's samples. Throws a `RangeError` if it has none. */
  summary(contestant: Contestant, of = ''): Summary {
    const samples = this.#find(contestant, of)
    if (samples === undefined) throw new RangeError(`there are no samples of ${contestant} ${of}`)
    return summaryOf(samples.values)
  }

  /** The median of the ratios of samples from the same round: disturbances affect both samples. */
  ratio(one: Contestant, other: Contestant, of = '', otherOf = of): number {
    const ones = this.#find(one, of)?.values ?? []
    const others = this.#find(other, otherOf)?.values ?? []
    if (ones.length !== others.length) throw new RangeError(`${one} and ${other} were not measured in pairs`)
    return summaryOf(ones.map((value, round) => value / (others[round] as number))).median
  }

  /** @internal */
  get panel(): Panel {
    const measures = this.#all.map(({ contestant, case: of, values }): Measure => {
      return { contestant, case: of, ...summaryOf(values) }
    })
    return { ...this.#about, measures }
  }

  #find(contestant: Contestant, of: string): Samples | undefined {
    return this.#all.find((samples) => samples.contestant === contestant && samples.case === of)
  }
}

export class Benchmark {
  readonly settings: Settings = readSettings()
  readonly #name: string
  readonly #title: string
  readonly #figures: Figures[] = []
  readonly #aims: Aim[] = []
  readonly #notes: string[] = []

  /** `name` is the name of the program's file, `title` one sentence about what the figures show. */
  constructor(name: string, title: string) {
    this.#name = name
    this.#title = title
  }

  /** A quantity to collect samples of. Each has its own chart. */
  figures(quantity: string, unit: string, { scale = 'linear', cases = '' }: Partial<Panel> = {}): Figures {
    const figures = new Figures({ quantity, unit, scale, cases })
    this.#figures.push(figures)
    return figures
  }

  /**
   * Compares a figure with the project's aim. A missed aim is reported, but does not fail: machines differ.
   */
  aim(what: string, value: number, unit: string, bound: Aim['bound']): void {
    const isReached = 'atMost' in bound ? value <= bound.atMost : value >= bound.atLeast
    this.#aims.push({ what, value, unit, bound, isReached })
  }

  /** Adds a remark that the figures alone do not show. */
  note(text: string): void {
    this.#notes.push(text)
  }

  /** Prints the result and writes it to the `--out` directory, if given. */
  report(): void {
    const result: Result = {
      name: this.#name,
      title: this.#title,
      isShort: this.settings.short,
      machine: thisMachine(),
      panels: this.#figures.map(({ panel }) => panel),
      aims: this.#aims,
      notes: this.#notes
    }
    console.log(markdownOf(result))
    const { out } = this.settings
    if (out === undefined) return
    mkdirSync(out, { recursive: true })
    writeFileSync(join(out, `${this.#name}.json`), `${JSON.stringify(result, undefined, 2)}\n`)
  }
}

/** Throws an `Error` if the measured work was not done: its figures would be worthless. */
export function ensure(isDone: boolean, what: string): void {
  if (!isDone) throw new Error(`the work was not done: ${what}`)
}
