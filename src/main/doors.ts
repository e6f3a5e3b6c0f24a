/**
 * Where connections come in: the servers that the options ask for, plain or under TLS, each behind the PROXY protocol
 * when that is on. Makes and opens them; what a connection may do is not decided here.
 */
import type { Server } from 'node:net'
import type { Timers } from '../base/clock.js'
import type { Options } from '../config/options.js'
import type { LinkDescription } from '../core/ports/link.js'
import type { Codec } from '../protocol/codec.js'
import { Certificates } from '../server/certificates.js'
import { httpServer } from '../server/http-server.js'
import { listen, urlOf } from '../server/listeners.js'
import type { Shell } from '../server/shell.js'
import { proxyGate } from '../transport/proxy-gate.js'
import { tcpServer, tlsServer } from '../transport/tcp.js'
import type { WsTransport } from '../transport/ws.js'

export interface DoorParts {
  readonly options: Options
  readonly shell: Shell
  readonly ws: WsTransport
  readonly mqttCodec: Codec
  readonly timers: Timers
  /** A connection did not begin with the header it should have. */
  readonly refused: (transport: LinkDescription['transport'], address: string, detail: string) => void
}

export interface DoorUrls {
  readonly httpUrl: string
  readonly mqttUrl: string | null
  readonly mqttsUrl: string | null
}

export interface Doors {
  /** For the shutdown, those behind a gate included. */
  readonly servers: readonly Server[]
  /** @throws ListenError */
  open(): Promise<DoorUrls>
  /** @returns false when there are none. @throws ListenError TLS_FILES: the old ones stay in force. */
  reloadCertificates(): boolean
  close(): void
}

interface Door {
  readonly server: Server
  readonly scheme: string
  readonly port: number
  readonly what: string
}

/** @throws ListenError TLS_FILES */
export function makeDoors(parts: DoorParts): Doors {
  const { host, httpPort, mqttPort, httpTls, tls } = parts.options.listen
  const certificates = certificatesOf(tls)
  const servers: Server[] = []
  const door = (inner: Server, transport: LinkDescription['transport'], scheme: string, port: number, what: string) => {
    const server = gated(inner, transport, parts)
    servers.push(server, ...(server === inner ? [] : [inner]))
    return { server, scheme, port, what }
  }
  const httpScheme = httpTls ? 'https' : 'http'
  const httpInner = http(parts, httpTls ? certificates : null)
  const doors: readonly (Door | null)[] = [
    door(httpInner, httpTls ? 'wss' : 'ws', httpScheme, httpPort, 'HTTP and WebSocket'),
    mqttPort === null ? null : door(tcpServer(parts.shell, parts.mqttCodec), 'tcp', 'mqtt', mqttPort, 'MQTT over TCP'),
    certificates === null || tls.port === null
      ? null
      : door(mqttTls(parts, certificates), 'tls', 'mqtts', tls.port, 'MQTT over TLS'),
  ]
  const open = async (each: Door | null | undefined): Promise<string | null> =>
    each ? urlOf(each.scheme, await listen(each.server, host, each.port, each.what)) : null
  return {
    servers,
    async open() {
      const httpUrl = (await open(doors[0])) as string
      return { httpUrl, mqttUrl: await open(doors[1]), mqttsUrl: await open(doors[2]) }
    },
    reloadCertificates() {
      certificates?.reload()
      return certificates !== null
    },
    close() {
      for (const server of servers) server.close()
    },
  }
}

function certificatesOf(tls: Options['listen']['tls']): Certificates | null {
  const { certificateFile, keyFile } = tls
  return certificateFile === null || keyFile === null ? null : new Certificates({ ...tls, certificateFile, keyFile })
}

function http(parts: DoorParts, certificates: Certificates | null): Server {
  const { options, shell, ws } = parts
  const server = httpServer({
    connectionsMax: options.http.connectionsMax,
    unreadiness: () => shell.unreadiness(),
    unflushed: () => shell.promises.unflushed,
    upgrade: ws.upgrade,
    isUpgradePath: (path) => ws.servesPath(path),
    ...(certificates === null ? {} : { tls: certificates.options }),
  })
  if ('setSecureContext' in server) certificates?.serve(server)
  return server
}

function mqttTls(parts: DoorParts, certificates: Certificates): Server {
  const { limits, heartbeat } = parts.options
  const server = tlsServer(parts.shell, parts.mqttCodec, {
    tls: certificates.options,
    handshakeTimeoutMs: heartbeat.connectTimeoutMs,
    connectionsMax: limits.connectionsMax,
  })
  certificates.serve(server)
  return server
}

function gated(inner: Server, transport: LinkDescription['transport'], parts: DoorParts): Server {
  const { options, timers, refused } = parts
  if (!options.listen.proxyProtocol) return inner
  return proxyGate(inner, {
    timers,
    headerTimeoutMs: options.heartbeat.connectTimeoutMs,
    connectionsMax:
      transport === 'ws' || transport === 'wss' ? options.http.connectionsMax : options.limits.connectionsMax,
    refused: (address, detail) => refused(transport, address, detail),
  })
}
