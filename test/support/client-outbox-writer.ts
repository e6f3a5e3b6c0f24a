/**
 * A program that publishes QoS 2 into an LMDB outbox while its broker is away, says `stored`, and waits to be killed.
 */
import { connect, openLmdbOutbox } from '../../src/client/index.js'

const [url = '', directory = '', count = '0'] = process.argv.slice(2)
const outbox = openLmdbOutbox(directory)
const client = await connect({ url, clientId: 'killed', outbox, reconnect: { minDelayMs: 60_000, maxDelayMs: 60_000 } })
process.stdout.write('connected\n')
client.on('state', async (state) => {
  if (state.name !== 'reconnecting') return
  for (let index = 0; index < Number(count); index += 1) void client.publish('bill', `${index}`, { qos: 2 })
  await client.stored()
  process.stdout.write('stored\n')
})
