/**
 * The native protocol, flushed to disk, beside a plain `ws.send` relay and aedes over WebSocket, interleaved in one run:
 * medians, ratios to the relay, broker CPU per message. Delivery is checked; a run that lost or doubled anything says so.
 *
 * npm run bench:native [-- --rounds 5 --seconds 4 --json]
 */
import { parseArgs } from 'node:util'
import { generate, median, startScript, startTally } from './targets.mjs'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
})

const TALLY = () => startTally()
const RELAY = () => startScript('plain ws relay', 'plain-relay.mjs')
const AEDES = () => startScript('aedes', 'aedes-broker.mjs')
const scenarios = [
  { name: 'relay 1:1', start: RELAY, args: ['--wire', 'relay'] },
  { name: 'native QoS 0 1:1', start: TALLY, args: ['--wire', 'native', '--durable'], against: 'relay 1:1', atLeast: 4 },
  {
    name: 'native QoS 1 1:1 flushed',
    start: TALLY,
    args: ['--wire', 'native', '--qos', '1', '--durable', '--window', '16384'],
    against: 'relay 1:1',
    atLeast: 3,
  },
  {
    name: 'native QoS 2 1:1 flushed',
    start: TALLY,
    args: ['--wire', 'native', '--qos', '2', '--durable', '--window', '16384'],
    against: 'relay 1:1',
    atLeast: 2,
  },
  { name: 'relay 1:100', start: RELAY, args: ['--wire', 'relay', '--subs', '100', '--window', '1024'] },
  {
    name: 'native QoS 0 1:100',
    start: TALLY,
    args: ['--wire', 'native', '--subs', '100', '--window', '1024'],
    against: 'relay 1:100',
    atLeast: 15,
  },
  { name: 'aedes QoS 0 1:1', start: AEDES, args: ['--wire', 'mqtt', '--path', '/'], against: 'relay 1:1' },
  {
    name: 'aedes QoS 1 1:1 in memory',
    start: AEDES,
    args: ['--wire', 'mqtt', '--path', '/', '--qos', '1', '--window', '1024'],
    against: 'relay 1:1',
  },
  {
    name: 'aedes QoS 2 1:1 in memory',
    start: AEDES,
    args: ['--wire', 'mqtt', '--path', '/', '--qos', '2', '--window', '256', '--batch', '8'],
    against: 'relay 1:1',
  },
  {
    name: 'aedes QoS 0 1:100',
    start: AEDES,
    args: ['--wire', 'mqtt', '--path', '/', '--subs', '100', '--window', '1024'],
    against: 'relay 1:100',
  },
].filter(({ name }) => values.only === undefined || name.includes(values.only) || name.startsWith('relay'))

const results = new Map(scenarios.map(({ name }) => [name, []]))
for (let round = 1; round <= Number(values.rounds); round += 1) {
  for (const { name, start, args } of scenarios) {
    const target = await start()
    const measured = ['--port', String(target.port), '--pid', String(target.pid), '--seconds', values.seconds]
    const result = await generate([...measured, ...args])
    await target.stop()
    results.get(name).push(result)
    const flaw = result.missing + result.duplicated + result.reordered
    process.stderr.write(
      `round ${round} ${name}: ${result.deliveriesPerSec}/s${flaw > 0 ? `  MISSING ${result.missing} DUPLICATED ${result.duplicated} REORDERED ${result.reordered}` : ''}\n`,
    )
  }
}

const rows = scenarios.map(({ name, against, atLeast }) => {
  const runs = results.get(name)
  const deliveriesPerSec = median(runs.map((run) => run.deliveriesPerSec))
  const base = against === undefined ? null : median(results.get(against).map((run) => run.deliveriesPerSec))
  return {
    name,
    deliveriesPerSec,
    ratioToRelay: base === null ? null : Number((deliveriesPerSec / base).toFixed(2)),
    atLeast: atLeast ?? null,
    brokerCpu: median(runs.map((run) => run.brokerCpu)),
    brokerMicrosPerDelivery: median(runs.map((run) => run.brokerMicrosPerDelivery)),
    generatorCpu: median(runs.map((run) => run.generatorCpu)),
    flaws: runs.reduce((sum, run) => sum + run.missing + run.duplicated + run.reordered, 0),
  }
})
if (values.json) process.stdout.write(`${JSON.stringify(rows)}\n`)
else {
  process.stdout.write(
    '| scenario | deliveries/s | × relay | wanted | broker µs/delivery | broker CPU | generator CPU | flaws |\n| --- | --: | --: | --: | --: | --: | --: | --: |\n',
  )
  for (const row of rows) {
    process.stdout.write(
      `| ${row.name} | ${row.deliveriesPerSec} | ${row.ratioToRelay ?? ''} | ${row.atLeast ?? ''} | ${row.brokerMicrosPerDelivery} | ${row.brokerCpu} | ${row.generatorCpu} | ${row.flaws} |\n`,
    )
  }
}
