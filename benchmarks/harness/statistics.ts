/** Median, quartiles and percentiles of samples. */

/** The median and spread of samples, in their unit. */
export interface Summary {
  readonly median: number
  /** The quartiles: half of the samples lie between them. */
  readonly q1: number
  readonly q3: number
  /** The 99th percentile; with fewer than a hundred samples, the maximum. */
  readonly p99: number
  readonly count: number
}

/** The quantile of samples by the nearest-rank method. `share` is between 0 and 1. */
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
