/** Medians, spreads, ratios within a round, and percentiles that are never better than the truth. */
import t from 'tap'
import { Histogram } from '../../bench/histogram.js'
import { median, ratio, spread } from '../../bench/statistics.js'

t.test('medians', async (t) => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 2, 3]), 2.5)
  t.equal(median([7]), 7)
  t.throws(() => median([]))
  t.same(spread([5, 1, 9]), { median: 5, min: 1, max: 9 })
})

t.test('ratios are taken within a round, so that a slow minute slows both', async (t) => {
  // Three rounds on a machine that halves its speed: each time twice as fast, though medians alone would say otherwise.
  t.same(ratio([200, 100, 50], [100, 50, 25]), { median: 2, min: 2, max: 2 })
  t.same(ratio([200, Number.NaN, 90], [100, 50, 30]), { median: 2.5, min: 2, max: 3 }, 'a void run has no ratio')
  t.equal(ratio([Number.NaN], [1]), null)
  t.equal(ratio([], []), null)
})

t.test('a percentile is at least the true one, and at most 1.6 % above it', async (t) => {
  const histogram = new Histogram()
  const values: number[] = []
  let value = 1
  for (let index = 0; index < 20_000; index += 1) {
    value = (value * 48_271) % 2_147_483_647
    const micros = value % 3_000_000
    values.push(micros)
    histogram.record(micros)
  }
  values.sort((a, b) => a - b)
  for (const share of [0.01, 0.5, 0.9, 0.99, 0.999, 1]) {
    const truth = values[Math.ceil(share * values.length) - 1] as number
    const told = histogram.percentileMicros(share)
    t.ok(told >= truth && told <= truth * 1.016 + 1, `${share}: ${told} for ${truth}`)
  }
  t.equal(histogram.count, 20_000)
  t.equal(histogram.maxMicros, values.at(-1))
})

t.test('small and odd durations', async (t) => {
  const histogram = new Histogram()
  for (const micros of [0, 1, 2, 3, -5, 0.2]) histogram.record(micros)
  t.equal(histogram.percentileMicros(0.5), 1, 'single microseconds are exact, and rounded up')
  t.equal(histogram.percentileMicros(1), 3)
  t.same(histogram.curve().at(-1), [100, 0.003])
  t.ok(
    histogram.curve().every(([percentile]) => percentile <= 50 || percentile === 75 || percentile === 100),
    'six values say nothing about the 99th percentile',
  )
  t.throws(() => new Histogram().percentileMicros(0.5))
})

t.test('one wait of a second among ten thousand short ones is seen by p99.99 and not by p99', async (t) => {
  const histogram = new Histogram()
  for (let index = 0; index < 9_999; index += 1) histogram.record(100)
  histogram.record(1_000_000)
  t.equal(histogram.percentileMicros(0.99), 100)
  t.equal(histogram.percentileMicros(1), 1_000_000)
})
