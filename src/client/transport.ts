/**
 * The transport port: one byte pipe to a broker. Three adapters: the browser's WebSocket, `ws` on Node, TCP on Node;
 * tests have one in memory. It knows no packets and never reconnects; what came in before `closed` is handed over
 * first.
 */
/** None of these is called before `OpenTransport` has returned. */
export interface TransportHandler {
  opened(): void
  received(chunk: Uint8Array): void
  /** `bufferedBytes` has fallen to zero, or nearly so, after a write. May come too often, must not stay away. */
  drained(): void
  /**
   * Called exactly once, also when opening failed. `code`: the WebSocket close code, 1006 where there was none.
   * `detail`: a sentence for people. `isFinal`: trying again cannot help (the HTTP upgrade was refused with 4xx).
   */
  closed(code: number, detail: string, isFinal?: boolean): void
}

export interface Transport {
  /** The bytes belong to the transport from here on. One WebSocket message per call. */
  write(bytes: Uint8Array): void
  readonly bufferedBytes: number
  /** Sends what is written, then closes. `closed` follows. */
  close(code?: number): void
  /** Drops everything at once. `closed` follows. */
  destroy(): void
}

/** How the broker's certificate is checked, and what we show for ourselves. PEM texts. */
export interface TlsOptions {
  readonly ca?: string | string[]
  readonly cert?: string
  readonly key?: string
  /** false: any certificate will do. Only for trying things out. */
  readonly rejectUnauthorized?: boolean
  /** As OpenSSL writes it. */
  readonly ciphers?: string
  readonly minVersion?: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  readonly maxVersion?: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  /** What is offered to a port that speaks several protocols. */
  readonly ALPNProtocols?: string[]
}

export interface TransportTarget {
  /** Complete, path included. */
  readonly url: string
  /** WebSocket only. */
  readonly subprotocol: string
  readonly headers?: Readonly<Record<string, string>>
  /** Node only. */
  readonly tls?: TlsOptions
  readonly localAddress?: string
}
export type OpenTransport = (target: TransportTarget, handler: TransportHandler) => Transport
