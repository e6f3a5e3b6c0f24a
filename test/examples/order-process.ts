/**
 * A program that notes and sends numbers, going on where its disk says it was, and says each one: to be killed at any
 * moment. Arguments: which example, URL of the broker, directory, up to which number.
 */
import { join } from 'node:path'
import { Meter, sendReadings } from './meter-lmdb.js'
import { sendOrders, Shop } from './orders-sqlite.js'

const [kind, url = '', directory = '', last = '0'] = process.argv.slice(2)
const reconnect = { minDelayMs: 5, maxDelayMs: 20 }
const shop = kind === 'SQLite' ? new Shop(join(directory, 'shop.db')) : null
const meter = kind === 'LMDB' ? new Meter(join(directory, 'meter')) : null
const noted = shop?.orders() ?? meter?.readings() ?? []
const sending = shop !== null ? sendOrders(shop, { url, reconnect }) : sendReadings(meter as Meter, { url, reconnect })
const { client, producer } = await sending
for (let number = noted.length + 1; number <= Number(last); number += 1) {
  if (shop !== null) shop.placeOrder(`${number}`)
  else meter?.read(`${number}`)
  process.stdout.write(`${number}\n`)
  const flushed = producer.flush()
  // Sometimes the next is noted while this one is out, sometimes not.
  if (number % 3 === 0) await flushed
}
await producer.flush()
await client.close()
