/**
 * Ranges make an acknowledgement of 65 535 packets six bytes long: naming them must not be a way to keep the broker
 * busy.
 */
import t from 'tap'
import { type AckPacketType, PACKET_ID_MAX, PacketType } from '../../src/protocol/packets.js'
import { testBroker } from '../support/test-broker.js'

const TYPES: AckPacketType[] = [PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBREL, PacketType.PUBCOMP]

for (const type of TYPES) {
  t.test(
    `packet type ${type}: identifiers nobody waits for are tolerated once around, then they are an error`,
    async (t) => {
      const broker = testBroker()
      const client = broker.connect('flood')
      const range = { type, packetId: 1, lastPacketId: PACKET_ID_MAX, reasonCode: 0, properties: null } as const
      client.send(range)
      broker.settle()
      t.equal(client.link.closedWith !== null, false, 'after a resume a client may not know better')
      client.send(range)
      broker.settle()
      t.equal(client.link.closedWith !== null, true)
    },
  )
}
