/** Options of TLS that contradict each other are named together. */
import t from 'tap'
import { OptionsError, type OptionsInput, parseOptions } from '../../../src/config/options.js'

const pathsOf = (listen: OptionsInput['listen']): string[] => {
  try {
    parseOptions({ listen })
    return []
  } catch (error) {
    if (error instanceof OptionsError) return error.problems.map(({ path }) => path)
    throw error
  }
}

t.test(
  'a certificate needs its key, HTTPS a certificate, asking clients an authority, and each port is one',
  async (t) => {
    const pair = { certificateFile: 'a.crt', keyFile: 'a.key' }
    t.same(pathsOf({ tls: pair, httpTls: true }), [])
    t.same(pathsOf({ tls: { certificateFile: 'a.crt' } }), ['listen.tls.keyFile'])
    t.same(pathsOf({ tls: { keyFile: 'a.key' }, httpTls: true }), ['listen.tls.certificateFile', 'listen.httpTls'])
    t.same(pathsOf({ tls: { ...pair, requestClientCertificate: true } }), ['listen.tls.caFile'])
    t.same(pathsOf({ tls: { ...pair, port: 1_883 } }), ['listen.tls.port'])
    t.same(pathsOf({ tls: { ...pair, port: null }, mqttPort: null }), [])
  },
)
