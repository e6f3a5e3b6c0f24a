/** What went over the sockets, as plain numbers that only grow; bytes are those of packets, without frames and TLS. */
export class TrafficCounters {
  packetsReceived = 0
  packetsSent = 0
  bytesReceived = 0
  bytesSent = 0
  socketsOpened = 0
  connectionsAccepted = 0
}
