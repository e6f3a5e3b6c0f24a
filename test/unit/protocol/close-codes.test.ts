/** Close codes: which reason code closes with which of them, and whether the client may come back. */
import t from 'tap'
import { CLOSE_CODE_BY_REASON, CloseCode, closeCodeFor, isReconnectAllowed } from '../../../src/protocol/close-codes.js'
import { PacketType } from '../../../src/protocol/packets.js'
import { isFailure, isReasonCodeLegal, REASON_CODES, ReasonCode } from '../../../src/protocol/reason-codes.js'

t.test(
  'every reason code of DISCONNECT and every refusal of CONNACK has a close code of its own choosing',
  async (t) => {
    for (const [name, { value }] of Object.entries(REASON_CODES)) {
      const mayClose =
        isReasonCodeLegal(PacketType.DISCONNECT, value) ||
        (isReasonCodeLegal(PacketType.CONNACK, value) && isFailure(value))
      t.equal(CLOSE_CODE_BY_REASON.has(value), mayClose, name)
    }
  },
)

t.test('a reason code without a row closes as an internal error, or normally when it is no failure', async (t) => {
  t.equal(closeCodeFor(0xfe), CloseCode.INTERNAL_ERROR)
  t.equal(closeCodeFor(ReasonCode.PACKET_IDENTIFIER_IN_USE), CloseCode.INTERNAL_ERROR)
  t.equal(closeCodeFor(ReasonCode.GRANTED_QOS_1), CloseCode.NORMAL)
})

t.test('a client comes back below 3500 and stays away from there on', async (t) => {
  for (const code of [1000, 1001, 1006, 1011, 3001, 3004, 3008, 3011, 3012, 3013, 3499]) {
    t.equal(isReconnectAllowed(code), true, `${code}`)
  }
  for (const code of [3500, 3501, 3503, 3504, 3506, 3507, 3510, 4000, 4999]) {
    t.equal(isReconnectAllowed(code), false, `${code}`)
  }
})

t.test('a message that was refused for its kind or size is not sent again by a reconnect', async (t) => {
  t.equal(isReconnectAllowed(CloseCode.UNSUPPORTED_DATA), false)
  t.equal(isReconnectAllowed(CloseCode.TOO_BIG), false)
})

t.test('every close code is one that a WebSocket endpoint may send', async (t) => {
  for (const code of Object.values(CloseCode)) {
    t.ok(
      (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999),
      `${code}`,
    )
  }
})
