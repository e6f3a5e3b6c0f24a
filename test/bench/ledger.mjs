/**
 * What exactness costs: the same build without the ledger, with it, and with producers on top, flushed to disk alike,
 * interleaved in one run. Ratios are taken within a round and their median is printed: of rates, and of the broker's CPU
 * per message, which a machine that has other things to do distorts less. Delivery is checked; flaws are printed.
 *
 * npm run bench:ledger [-- --rounds 5 --seconds 4 --warmup 2 --only 'QoS 1' --json]
 * With --against DIRECTORY, another checkout that has been built: QoS 0, 1 and 2 there, and here with ratios to them.
 */
import { parseArgs } from 'node:util'
import { generate, median, startTally } from './targets.mjs'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    warmup: { type: 'string', default: '2' },
    batch: { type: 'string', default: '64' },
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    against: { type: 'string' },
  },
})

const FLUSHED = ['--wire', 'native', '--durable', '--batch', values.batch]
const QOS_0 = FLUSHED
const QOS_1 = [...FLUSHED, '--qos', '1', '--window', '16384']
const QOS_2 = [...FLUSHED, '--qos', '2', '--window', '16384']
const PRODUCE = [...QOS_1, '--produce']
const off = { environment: { TALLYMQ_LEDGER__ENABLED: 'false' } }
const on = { environment: { TALLYMQ_LEDGER__ENABLED: 'true' } }
const other = { root: values.against }

const ledgerScenarios = [
  { name: 'QoS 1, ledger off', target: off, args: QOS_1 },
  { name: 'QoS 1, ledger on', target: on, args: QOS_1, against: 'QoS 1, ledger off', atLeast: 0.85 },
  { name: 'QoS 1, producer, ledger on', target: on, args: PRODUCE, against: 'QoS 1, ledger off', atLeast: 0.85 },
  { name: 'QoS 2, ledger off', target: off, args: QOS_2 },
  { name: 'QoS 2, ledger on', target: on, args: QOS_2, against: 'QoS 2, ledger off', atLeast: 0.85 },
]
const otherScenarios = [
  { name: 'QoS 0, other build', target: other, args: QOS_0 },
  { name: 'QoS 0, ledger on', target: on, args: QOS_0, against: 'QoS 0, other build', atLeast: 0.95 },
  { name: 'QoS 1, other build', target: other, args: QOS_1 },
  { name: 'QoS 1, ledger off', target: off, args: QOS_1, against: 'QoS 1, other build', atLeast: 0.95 },
  { name: 'QoS 1, ledger on', target: on, args: QOS_1, against: 'QoS 1, other build', atLeast: 0.85 },
  { name: 'QoS 2, other build', target: other, args: QOS_2 },
  { name: 'QoS 2, ledger off', target: off, args: QOS_2, against: 'QoS 2, other build', atLeast: 0.95 },
  { name: 'QoS 2, ledger on', target: on, args: QOS_2, against: 'QoS 2, other build', atLeast: 0.85 },
]
const scenarios = (values.against === undefined ? ledgerScenarios : otherScenarios).filter(
  ({ name }) => values.only === undefined || name.includes(values.only),
)

const results = new Map(scenarios.map(({ name }) => [name, []]))
for (let round = 1; round <= Number(values.rounds); round += 1) {
  for (const { name, target: how, args } of scenarios) {
    const target = await startTally(how)
    const measured = ['--port', String(target.port), '--pid', String(target.pid)]
    const result = await generate([...measured, '--seconds', values.seconds, '--warmup', values.warmup, ...args])
    await target.stop()
    results.get(name).push(result)
    const { deliveriesPerSec, brokerMicrosPerDelivery, missing, duplicated, reordered } = result
    const flaws = missing + duplicated + reordered
    const flawed = flaws > 0 ? `  MISSING ${missing} DUPLICATED ${duplicated} REORDERED ${reordered}` : ''
    process.stderr.write(`round ${round} ${name}: ${deliveriesPerSec}/s ${brokerMicrosPerDelivery} µs${flawed}\n`)
  }
}

/** @param of the figure of one run that grows with speed. */
function ratio(name, against, of) {
  if (against === undefined) return null
  const bases = results.get(against)
  return Number(median(results.get(name).map((run, round) => of(run) / of(bases[round]))).toFixed(3))
}

const rows = scenarios.map(({ name, against, atLeast }) => {
  const runs = results.get(name)
  return {
    name,
    deliveriesPerSec: median(runs.map((run) => run.deliveriesPerSec)),
    brokerMicrosPerDelivery: median(runs.map((run) => run.brokerMicrosPerDelivery)),
    rateRatio: ratio(name, against, (run) => run.deliveriesPerSec),
    cpuRatio: ratio(name, against, (run) => 1 / run.brokerMicrosPerDelivery),
    atLeast: atLeast ?? null,
    brokerCpu: median(runs.map((run) => run.brokerCpu)),
    generatorCpu: median(runs.map((run) => run.generatorCpu)),
    flaws: runs.reduce((sum, run) => sum + run.missing + run.duplicated + run.reordered, 0),
  }
})
if (values.json) process.stdout.write(`${JSON.stringify(rows)}\n`)
else {
  process.stdout.write(
    '| scenario | deliveries/s | broker µs/delivery | × rate | × messages per CPU | wanted | broker CPU | generator CPU | flaws |\n| --- | --: | --: | --: | --: | --: | --: | --: | --: |\n',
  )
  for (const row of rows) {
    process.stdout.write(
      `| ${row.name} | ${row.deliveriesPerSec} | ${row.brokerMicrosPerDelivery} | ${row.rateRatio ?? ''} | ${row.cpuRatio ?? ''} | ${row.atLeast ?? ''} | ${row.brokerCpu} | ${row.generatorCpu} | ${row.flaws} |\n`,
    )
  }
}
