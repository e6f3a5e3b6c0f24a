/**
 * Certificate and key from their files, for every TLS listener, and read again without touching open connections: they
 * keep what they agreed on, new ones get the new certificate. What cannot be used is refused whole, so that a file
 * half written by a renewal leaves the old certificate in force.
 */
import { readFileSync } from 'node:fs'
import { createSecureContext, type SecureContextOptions, type TlsOptions } from 'node:tls'
import { ListenError } from './listeners.js'

export interface TlsFiles {
  readonly certificateFile: string
  readonly keyFile: string
  /** Who signs the certificates of clients; null: nobody is asked for one. */
  readonly caFile: string | null
  readonly requestClientCertificate: boolean
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
}

interface ContextHolder {
  setSecureContext(options: SecureContextOptions): void
}

export class Certificates {
  readonly #files: TlsFiles
  readonly #servers: ContextHolder[] = []
  #context: SecureContextOptions

  /** @throws ListenError TLS_FILES */
  constructor(files: TlsFiles) {
    this.#files = files
    this.#context = readContext(files)
  }

  /** For a server that is being made; then `serve` it. */
  get options(): TlsOptions {
    const isAsked = this.#files.requestClientCertificate
    return { ...this.#context, requestCert: isAsked, rejectUnauthorized: isAsked }
  }

  /** From now on it gets what `reload` reads. */
  serve(server: ContextHolder): void {
    this.#servers.push(server)
  }

  /** @throws ListenError TLS_FILES: the old certificate stays in force. */
  reload(): void {
    this.#context = readContext(this.#files)
    for (const server of this.#servers) server.setSecureContext(this.#context)
  }
}

function readContext(files: TlsFiles): SecureContextOptions {
  const context: SecureContextOptions = {
    cert: readPart(files.certificateFile, 'certificateFile'),
    key: readPart(files.keyFile, 'keyFile'),
    minVersion: files.minVersion,
    ...(files.caFile === null ? {} : { ca: readPart(files.caFile, 'caFile') }),
  }
  try {
    createSecureContext(context)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    const { certificateFile, keyFile } = files
    const sentence = `listen.tls: ${certificateFile} and ${keyFile} are no certificate and its key (${why})`
    throw new ListenError('TLS_FILES', sentence, { cause: error })
  }
  return context
}

function readPart(file: string, option: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new ListenError('TLS_FILES', `listen.tls.${option}: ${file} cannot be read (${code})`, { cause: error })
  }
}
