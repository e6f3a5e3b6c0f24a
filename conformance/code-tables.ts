/** Which codes a server may send in which packet: the tables of both standards. */
import type { Version } from './wire/bytes.js'
import { TYPE } from './wire/decode.js'

const codes = (list: string): ReadonlySet<number> => new Set(list.split(' ').map((code) => Number.parseInt(code, 16)))

const PUBLISH_ANSWERS = codes('00 10 80 83 87 90 91 97 99')
const V5: Readonly<Record<number, ReadonlySet<number>>> = {
  [TYPE.connack]: codes('00 80 81 82 83 84 85 86 87 88 89 8A 8C 90 95 97 99 9A 9B 9C 9D 9F'),
  [TYPE.puback]: PUBLISH_ANSWERS,
  [TYPE.pubrec]: PUBLISH_ANSWERS,
  [TYPE.pubrel]: codes('00 92'),
  [TYPE.pubcomp]: codes('00 92'),
  [TYPE.suback]: codes('00 01 02 80 83 87 8F 91 97 9E A1 A2'),
  [TYPE.unsuback]: codes('00 11 80 83 87 8F 91'),
  [TYPE.disconnect]: codes('00 80 81 82 83 87 89 8B 8C 8D 8E 8F 90 93 94 95 96 97 98 99 9A 9B 9C 9D 9E 9F A0 A1 A2'),
}
const V311: Readonly<Record<number, ReadonlySet<number>>> = {
  [TYPE.connack]: codes('00 01 02 03 04 05'),
  [TYPE.suback]: codes('00 01 02 80'),
}

export function valueCheck(version: Version, type: number, code: number): boolean {
  return (version === 5 ? V5 : V311)[type]?.has(code) ?? true
}
