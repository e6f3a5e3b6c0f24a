/** `connect`, the same on every platform: options become settings, settings a client, and the client starts. */
import type { Client, ConnectOptions } from './api.js'
import { TallyClient } from './client.js'
import { type Platform, resolveOptions } from './connect-options.js'

export async function openClient(options: ConnectOptions, platform: Platform): Promise<Client> {
  const client = new TallyClient(await resolveOptions(options, platform))
  await client.start(options.signal)
  return client
}
