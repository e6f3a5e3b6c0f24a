/**
 * The options table: every option once, with its type, default, bounds and one sentence. The TypeScript types, the
 * validation, the JSON schema in `config/`, the table in the README and the names of environment variables derive
 * from these rows. Nothing is coerced here (`load.ts` reads `30s` and `2MiB`), nothing reads a file or the environment.
 *
 * A new option is one row here, and the code that obeys it.
 */
import * as z from 'zod'
import {
  type BrokerFeatures,
  type BrokerLimits,
  DEFAULT_FEATURES,
  DEFAULT_IDEMPOTENCY,
  DEFAULT_LEDGER,
  DEFAULT_LIMITS,
  type IdempotencyOptions,
  type LedgerOptions,
} from '../core/limits.js'
import { topicFilterProblem } from '../protocol/topics.js'

type Unit = 'ms' | 's' | 'bytes'

const whole = (fallback: number, min: number, max: number, description: string, unit?: Unit) =>
  z
    .int()
    .min(min)
    .max(max)
    .default(fallback)
    .meta(unit === undefined ? { description } : { description, unit })
const flag = (fallback: boolean, description: string) => z.boolean().default(fallback).meta({ description })
const word = <const Words extends readonly string[]>(words: Words, fallback: Words[number], description: string) =>
  z
    .enum(words as unknown as [Words[number], ...Words[number][]])
    .default(fallback as never)
    .meta({ description })
const section = <Shape extends z.ZodRawShape>(shape: Shape) => z.strictObject(shape).prefault({} as never)
const port = z.int().min(0).max(65_535)

const file = (description: string) =>
  z.string().min(1).nullable().default(null).meta({ description, allowed: 'the path of a PEM file' })

const KIB = 1_024
const MIB = 1_048_576
const GIB = 1_073_741_824
const SEC_MAX = 0xffff_ffff

const D = DEFAULT_LIMITS
const limits = {
  maximumPacketSize: whole(D.maximumPacketSize, 256, 268_435_455, 'Largest packet a client may send.', 'bytes'),
  receiveMaximum: whole(D.receiveMaximum, 1, 65_535, 'Unacknowledged QoS 1 and 2 publications taken from one client.'),
  inflightMax: whole(
    D.inflightMax,
    1,
    65_535,
    'Unacknowledged publications sent to one session, whatever it asks for.',
  ),
  topicBytesMax: whole(D.topicBytesMax, 1, 1_600, 'Longest topic name or filter, in UTF-8.', 'bytes'),
  topicLevelsMax: whole(D.topicLevelsMax, 1, 1_024, 'Most levels in a topic name or filter.'),
  topicAliasMaximum: whole(D.topicAliasMaximum, 0, 65_535, 'Topic aliases taken from one client; 0 switches them off.'),
  clientIdBytesMax: whole(D.clientIdBytesMax, 23, 1_024, 'Longest client id, in UTF-8.', 'bytes'),
  userPropertiesMax: whole(D.userPropertiesMax, 0, 10_000, 'User properties in one packet.'),
  filtersPerPacketMax: whole(D.filtersPerPacketMax, 1, 100_000, 'Topic filters in one SUBSCRIBE or UNSUBSCRIBE.'),
  subscriptionsPerSessionMax: whole(D.subscriptionsPerSessionMax, 1, 1_000_000, 'Subscriptions of one session.'),
  sessionsMax: whole(D.sessionsMax, 1, 100_000_000, 'Sessions, connected or not.'),
  connectionsMax: whole(D.connectionsMax, 1, 1_000_000, 'Connections at one time, over all listeners.'),
  connectionsPerAddressMax: whole(
    D.connectionsPerAddressMax,
    0,
    1_000_000,
    'Connections of one address (IPv6: of one /64) at one time; 0: no bound. Loopback is not counted.',
  ),
  connectsPerAddressPerSecMax: whole(
    D.connectsPerAddressPerSecMax,
    0,
    1_000_000,
    'New connections of one address (IPv6: of one /64) in a second; 0: no bound. Loopback is not counted.',
  ),
  retainedMessagesMax: whole(D.retainedMessagesMax, 0, 1_000_000_000, 'Retained messages.'),
  retainedBytesMax: whole(D.retainedBytesMax, 0, 1_024 * GIB, 'Retained messages, all together.', 'bytes'),
  queueMessagesMax: whole(D.queueMessagesMax, 1, 1_000_000_000, 'Messages waiting for one session.'),
  queueBytesMax: whole(D.queueBytesMax, KIB, 1_024 * GIB, 'Messages waiting for one session, all together.', 'bytes'),
  queueWindowMessages: whole(D.queueWindowMessages, 1, 65_535, 'Waiting messages of one session kept in memory.'),
  outputBufferBytesMax: whole(
    D.outputBufferBytesMax,
    16 * KIB,
    GIB,
    'Bytes waiting for one socket before QoS 0 is dropped for it and QoS 1 and 2 wait in the queue.',
    'bytes',
  ),
  sessionExpiryIntervalMaxSec: whole(
    D.sessionExpiryIntervalMaxSec,
    0,
    SEC_MAX,
    'Longest Session Expiry Interval granted; 4294967295: no bound.',
    's',
  ),
  mqtt311SessionExpiryIntervalSec: whole(
    D.mqtt311SessionExpiryIntervalSec,
    0,
    SEC_MAX,
    'How long the session of an MQTT 3.1.1 client with clean session 0 outlives its connection.',
    's',
  ),
  messageExpiryIntervalMaxSec: whole(
    D.messageExpiryIntervalMaxSec,
    0,
    SEC_MAX,
    'Longest Message Expiry Interval, also given to messages without one; 0: no bound.',
    's',
  ),
  keepAliveMaxSec: whole(
    D.keepAliveMaxSec,
    0,
    65_535,
    'Longest Keep Alive; a client that asks for more, or for none, gets this one. 0: no bound.',
    's',
  ),
  retainedPerTurn: whole(
    D.retainedPerTurn,
    1,
    100_000,
    'Retained messages handed to new subscribers, all together, before everybody else has a turn.',
  ),
  takeoversPerMinuteMax: whole(
    D.takeoversPerMinuteMax,
    1,
    1_000_000,
    'Takeovers of one client id per minute before its CONNECT is refused (reason code 0x9F).',
  ),
  producersMax: whole(D.producersMax, 0, 1_000_000_000, 'Producers that were ever opened; none is forgotten.'),
  producersPerConnectionMax: whole(D.producersPerConnectionMax, 1, 65_535, 'Producers open on one connection.'),
  producerRefusalsMax: whole(
    D.producerRefusalsMax,
    1,
    1_000_000,
    'Refused messages of one producer that it has not confirmed; then nothing more of it is stored.',
  ),
  queueFull: word(
    ['drop-new', 'refuse-publish'],
    D.queueFull,
    'What happens to a publication that a full session queue cannot take.',
  ),
} satisfies Record<keyof BrokerLimits, z.ZodType>

const F = DEFAULT_FEATURES
const text = (description: string, allowed: string, form: RegExp) =>
  z.string().regex(form).nullable().default(null).meta({ description, allowed })
const features = {
  maximumQoS: z.literal([0, 1, 2]).default(F.maximumQoS).meta({
    description: 'Highest QoS of a publication; subscriptions are granted with it at most.',
    allowed: '0, 1, 2',
  }),
  retainAvailable: flag(F.retainAvailable, 'Retained messages. If false, who sends one is disconnected.'),
  wildcardSubscriptionAvailable: flag(F.wildcardSubscriptionAvailable, 'Subscriptions with + and #.'),
  subscriptionIdentifiersAvailable: flag(F.subscriptionIdentifiersAvailable, 'Subscription identifiers.'),
  sharedSubscriptionAvailable: flag(F.sharedSubscriptionAvailable, 'Shared subscriptions, `$share/<name>/<filter>`.'),
  responseInformationPrefix: text(
    'Clients that ask for Response Information get this, a slash and their client id.',
    'the beginning of a topic name, without + and #',
    // biome-ignore lint/suspicious/noControlCharactersInRegex: U+0000 is exactly what is refused
    /^[^$+#\u0000][^+#\u0000]{0,255}$/,
  ),
} satisfies Record<keyof BrokerFeatures, z.ZodType>

const I = DEFAULT_IDEMPOTENCY
const idempotency = {
  idempotencyKeyProperty: z.string().min(1).max(256).nullable().default(I.idempotencyKeyProperty).meta({
    description: 'User property that makes a QoS 1 or 2 publication known when it comes again; null: none.',
    allowed: 'text of 1 to 256 characters',
  }),
  idempotencyKeyRetentionSec: whole(
    I.idempotencyKeyRetentionSec,
    1,
    31_536_000,
    'How long such a key is remembered.',
    's',
  ),
  idempotencyKeysMax: whole(
    I.idempotencyKeysMax,
    1,
    100_000_000,
    'Keys remembered; when there are so many, publications with a new one are refused.',
  ),
} satisfies Record<keyof IdempotencyOptions, z.ZodType>

const NAME_BYTES_MAX = 256
const nameRule = { allowed: 'text of 1 to 256 characters without / + # or U+0000' }
const username = z
  .string()
  .min(1)
  .max(NAME_BYTES_MAX)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: U+0000 is exactly what is refused
  .regex(/^[^/+#\u0000]+$/)
  .meta({ ...nameRule, description: 'Who.' })
const topicFilter = z
  .string()
  .refine((filter) => topicFilterProblem(filter, { topicBytesMax: 1_600, topicLevelsMax: 1_024 }) === undefined)
  .meta({ allowed: 'a topic filter, with + and # each alone in their level and # only at the end' })

const L = DEFAULT_LEDGER
const ledger = {
  enabled: flag(L.enabled, 'Counts every publication and copy at QoS 1 and 2 in the commit that makes it durable.'),
  topicClasses: z.array(topicFilter).max(1_000).default([]).meta({
    description:
      'Topic filters: a message is counted under the first that matches its topic, else under its first topic level.',
  }),
  topicClassesMax: whole(L.topicClassesMax, 1, 100_000, 'Topic classes in use at a time; the rest is counted as `*`.'),
  accountsMax: whole(
    L.accountsMax,
    1,
    100_000_000,
    'Pairs of client and topic class in use at a time; clients beyond them are counted as `*`.',
  ),
  retentionHours: whole(
    L.retentionHours,
    1,
    1_000_000,
    'Hours for which the numbers of each client are kept; the chain of hours stays.',
  ),
} satisfies Record<keyof LedgerOptions, z.ZodType>

const user = z.strictObject({
  username,
  passwordHash: z
    .string()
    .regex(/^\$scrypt\$ln=(1\d|20),r=[1-9]\d?,p=[1-9]\d?\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+$/)
    .meta({ allowed: 'a hash printed by `tallymq passwd`, as $scrypt$ln=…,r=…,p=…$salt$hash', secret: true })
    .exactOptional(),
  scramSha256: z
    .string()
    .regex(/^\$scram-sha-256\$i=[1-9]\d{3,6}\$[A-Za-z0-9+/]{11,}(\$[A-Za-z0-9+/]{43}){2}$/)
    .meta({
      allowed: 'keys printed by `tallymq passwd --scram`, as $scram-sha-256$i=…$salt$storedKey$serverKey',
      secret: true,
    })
    .exactOptional(),
})
const rule = z.strictObject({
  username: username.exactOptional(),
  clientId: z.string().min(1).max(1_024).exactOptional(),
  action: z.enum(['publish', 'subscribe', 'receive', 'all']),
  topicFilter,
  effect: z.enum(['allow', 'deny']),
})

const tls = section({
  port: port
    .nullable()
    .default(8_883)
    .meta({ description: 'Port for MQTT over TLS, once there is a certificate; 0: any free one, null: none.' }),
  certificateFile: file('Certificate with its chain. SIGHUP reads the files again; open connections stay.'),
  keyFile: file('Its private key.'),
  caFile: file('Who signs the certificates of clients.'),
  requestClientCertificate: flag(false, 'Only clients with a certificate signed by caFile may connect.'),
  minVersion: word(['TLSv1.2', 'TLSv1.3'], 'TLSv1.2', 'Oldest version of TLS that is spoken.'),
})

export const OPTIONS_SCHEMA = z.strictObject({
  dataDirectory: z
    .string()
    .min(1)
    .default('./data')
    .meta({ description: 'Where the database lives; made with mode 0700 when it does not exist.', allowed: 'a path' }),
  store: word(['lmdb', 'memory'], 'lmdb', '`memory` forgets everything when the process ends.'),
  durability: word(
    ['flush', 'os', 'memory'],
    'flush',
    'What an acknowledgement promises: on disk (`flush`), handed to the operating system (`os`), or in memory.',
  ),
  listen: section({
    host: z.string().min(1).default('127.0.0.1').meta({
      description: 'Address to listen on. Everything but loopback needs access rules, or access.allowPublicAnonymous.',
      allowed: 'an IP address or a host name',
    }),
    httpPort: port.default(8_083).meta({ description: 'Port for HTTP and WebSocket; 0: any free one.' }),
    mqttPort: port
      .nullable()
      .default(1_883)
      .meta({ description: 'Port for MQTT over TCP; 0: any free one, null: none.' }),
    tls,
    httpTls: flag(false, 'The HTTP port speaks HTTPS and wss, with the certificate of listen.tls.'),
    proxyProtocol: flag(
      false,
      'Every connection, on every port, must begin with a PROXY protocol header (1 or 2), as load balancers send it.',
    ),
  }),
  http: section({
    allowedOrigins: z
      .array(
        z
          .string()
          .regex(/^(\*|https?:\/\/[^/\s]+)$/)
          .meta({ allowed: 'an origin such as https://app.example.com, or *' }),
      )
      .default([])
      .meta({
        description:
          'Origins whose web pages may open a WebSocket; `*`: every one. On loopback also the pages of this machine.',
      }),
    connectionsMax: whole(20_000, 1, 1_000_000, 'Open sockets on the HTTP port, WebSockets included.'),
  }),
  heartbeat: section({
    pingIntervalMs: whole(
      45_000,
      10,
      3_600_000,
      'How often a connection is pinged; proxies often close after 60 s.',
      'ms',
    ),
    pongTimeoutMs: whole(15_000, 10, 3_600_000, 'How long an answer may take before the connection is closed.', 'ms'),
    connectTimeoutMs: whole(
      5_000,
      10,
      600_000,
      'How long a new connection may take to send CONNECT, and a client to answer in an authentication.',
      'ms',
    ),
    writeTimeoutMs: whole(30_000, 10, 3_600_000, 'How long a peer may read nothing while bytes wait for it.', 'ms'),
  }),
  storage: section({
    commitTimeoutMs: whole(10_000, 10, 600_000, 'A commit that takes longer stops the broker, non-zero.', 'ms'),
    mapSizeBytes: whole(64 * GIB, MIB, 16_384 * GIB, 'Address space reserved for the database.', 'bytes'),
  }),
  limits: section(limits),
  mqtt: section({
    ...features,
    acceptMqtt31: flag(false, 'Clients of MQTT 3.1 (`MQIsdp`) may connect.'),
    serverReference: text(
      'Where clients are sent when this broker stops (reason code 0x9C).',
      'host or host:port, several of them with a space between',
      /^\S+( \S+)*$/,
    ),
  }),
  producers: section(idempotency),
  ledger: section(ledger),
  access: section({
    mode: word(
      ['allow-all', 'rules'],
      'allow-all',
      '`rules`: known users only, each action needs a rule that allows it.',
    ),
    allowPublicAnonymous: flag(
      false,
      'Lets `allow-all` listen on other addresses than loopback. Rarely what you want.',
    ),
    users: z
      .array(user)
      .max(100_000)
      .default([])
      .meta({ description: 'Who may connect: username, and passwordHash or scramSha256 or both.' }),
    rules: z.array(rule).max(100_000).default([]).meta({
      description: 'Who may do what: username, clientId (both optional), action, topicFilter, effect.',
    }),
  }),
  presence: section({
    enabled: flag(true, 'Publishes online and offline events on `$SYS/clients/<clientId>/…`.'),
  }),
  sys: section({
    intervalSec: whole(
      10,
      0,
      86_400,
      'How often the topics under `$SYS/broker` are refreshed; 0: there are none.',
      's',
    ),
  }),
  log: section({
    level: word(
      ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
      'info',
      'Least severe line that is written to stderr.',
    ),
  }),
})

export type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T

/** Complete, checked, frozen. */
export type Options = DeepReadonly<z.output<typeof OPTIONS_SCHEMA>>
/** What a caller or a file may leave out: everything. */
export type OptionsInput = DeepReadonly<z.input<typeof OPTIONS_SCHEMA>>
