/** All cases, chapter by chapter. A case is numbered by its place: new ones go to the end of their chapter. */
import type { Case } from '../context.js'
import { authentication } from './auth.js'
import { connecting } from './connect.js'
import { connectForm } from './connect-form.js'
import { flowControl } from './flow.js'
import { lifetime } from './lifetime.js'
import { limits } from './limits.js'
import { messageProperties } from './properties.js'
import { publishing } from './publish.js'
import { qualityOfService } from './qos.js'
import { retained } from './retained.js'
import { sessions } from './session.js'
import { packetSizes } from './sizes.js'
import { subscribing, unsubscribing } from './subscribe.js'
import { sharedSubscriptions, topicMatching } from './topics.js'
import { webSockets } from './websocket.js'
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
  session: sessions,
  topic: topicMatching,
  shared: sharedSubscriptions,
  lifetime,
  size: packetSizes,
  limit: limits,
  auth: authentication,
  websocket: webSockets,
}
