/** Certificates made for one test with openssl: signed by themselves, for 127.0.0.1 and localhost. */
import { execFileSync } from 'node:child_process'

export interface TlsFiles {
  readonly certificateFile: string
  readonly keyFile: string
}

/** Writes `<name>.crt` and `<name>.key` into the directory. */
export function makeCertificate(directory: string, name: string): TlsFiles {
  const certificateFile = `${directory}/${name}.crt`
  const keyFile = `${directory}/${name}.key`
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost']
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile]
  execFileSync('openssl', ['req', '-x509', '-days', '2', ...key, '-out', certificateFile, ...subject], {
    stdio: 'ignore',
  })
  return { certificateFile, keyFile }
}
