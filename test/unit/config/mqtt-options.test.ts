/** The options that switch parts of MQTT off, and users with SCRAM keys. */
import t from 'tap'
import { OptionsError, type OptionsInput, parseOptions } from '../../../src/config/options.js'
import { type BrokerFeatures, DEFAULT_FEATURES } from '../../../src/core/limits.js'
import { scramCredential } from '../../support/scram-client.js'

function problemsOf(input: unknown): Record<string, string> {
  try {
    parseOptions(input as OptionsInput)
    return {}
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error
    return Object.fromEntries(error.problems.map(({ path, message }) => [path, message]))
  }
}

t.test('nothing given: everything of MQTT 5, no MQTT 3.1', async (t) => {
  const { acceptMqtt31, serverReference, ...features } = parseOptions().mqtt
  const named: BrokerFeatures = features
  t.same(named, DEFAULT_FEATURES, 'the features are those of the core, name for name')
  t.equal(acceptMqtt31, false)
  t.equal(serverReference, null)
})

t.test('what makes no sense is refused', async (t) => {
  for (const mqtt of [
    { maximumQoS: 3 },
    { maximumQoS: '1' },
    { retainAvailable: 0 },
    { responseInformationPrefix: 'a/+' },
    { responseInformationPrefix: '' },
    { serverReference: ' ' },
  ]) {
    t.same(Object.keys(problemsOf({ mqtt })), [`mqtt.${Object.keys(mqtt)[0]}`], JSON.stringify(mqtt))
  }
  t.same(problemsOf({ mqtt: { responseInformationPrefix: 'replies', serverReference: 'a b:1883', maximumQoS: 0 } }), {})
})

t.test('a user has a password hash, SCRAM keys, or both; wrong keys are named but never repeated', async (t) => {
  const scramSha256 = scramCredential('pencil')
  const withUser = (user: object) => ({ access: { mode: 'rules', users: [{ username: 'a', ...user }] } })
  t.same(problemsOf(withUser({ scramSha256 })), {})
  t.match(problemsOf(withUser({})), { 'access.users[0]': /neither passwordHash nor scramSha256/ })
  const problems = problemsOf(withUser({ scramSha256: 'hunter2' }))
  t.match(problems, { 'access.users[0].scramSha256': /not shown.*tallymq passwd --scram/ })
  t.notMatch(JSON.stringify(problems), 'hunter2')
})
