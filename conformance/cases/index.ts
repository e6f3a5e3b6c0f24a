/** All cases, chapter by chapter. A case is numbered by its place: new ones go to the end of their chapter. */
import type { Case } from '../context.js'
import { connecting } from './connect.js'
import { connectForm } from './connect-form.js'
import { flowControl } from './flow.js'
import { messageProperties } from './properties.js'
import { publishing } from './publish.js'
import { qualityOfService } from './qos.js'
import { retained } from './retained.js'
import { subscribing, unsubscribing } from './subscribe.js'
import { wills } from './will.js'

export const CHAPTERS: Readonly<Record<string, readonly Case[]>> = {
  'connect-form': connectForm,
  connect: connecting,
  will: wills,
  publish: publishing,
  properties: messageProperties,
  retained,
  qos: qualityOfService,
  flow: flowControl,
  subscribe: subscribing,
  unsubscribe: unsubscribing,
}
