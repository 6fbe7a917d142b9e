/** What many measurements of one thing come to. */

/** Median and spread of samples, in their unit. */
export interface Summary {
  readonly median: number
  /** The quartiles: half of all samples lie between them. */
  readonly q1: number
  readonly q3: number
  /** The 99th percentile; with fewer than a hundred samples that is the greatest. */
  readonly p99: number
  readonly count: number
}

/** The smallest sample that is not below so large a share of them, by the nearest-rank method. */
export function quantile(samples: readonly number[], share: number): number {
  if (samples.length === 0) throw new RangeError('there are no samples')
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number
}

export function summaryOf(samples: readonly number[]): Summary {
  return {
    median: quantile(samples, 0.5),
    q1: quantile(samples, 0.25),
    q3: quantile(samples, 0.75),
    p99: quantile(samples, 0.99),
    count: samples.length
  }
}
