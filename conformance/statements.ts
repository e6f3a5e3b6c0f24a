/** The normative statements of both standards, in our words, as data: which can be seen on the wire, and which not. */
import mqtt5 from './statements/mqtt5.json' with { type: 'json' }
import mqtt311 from './statements/mqtt311.json' with { type: 'json' }
import type { Version } from './wire/bytes.js'

export interface Statement {
  /** `MQTT-3.1.2-24`: means something else in the other version. */
  readonly id: string
  readonly section: string
  readonly role: string
  readonly level: string
  readonly requires: string
  readonly testable: string
  /** Why it cannot be seen on the wire, if so. */
  readonly reason?: string
}

export const STATEMENTS: Readonly<Record<Version, readonly Statement[]>> = { 4: mqtt311, 5: mqtt5 }

export const versionName = (version: Version): '5.0' | '3.1.1' => (version === 5 ? '5.0' : '3.1.1')
