/** Keys of rows: a key for a look-up is the key that the row was written under, whatever was looked up before. */
import t from 'tap'
import { topicKey, topicLookupKey } from '../../../src/core/store-keys.js'

t.test('a topic is looked up under the key it was written under', async (t) => {
  const topics = ['a', 'site/7/sensor/42', 'é/ß', '€'.repeat(40), '𝄞'.repeat(100), 'x'.repeat(49), 'x'.repeat(633)]
  for (const topic of [...topics, 'x'.repeat(634), 'x'.repeat(1_900), '€'.repeat(633), ...topics]) {
    t.same([...topicLookupKey(topic)], [...topicKey(topic)], topic.slice(0, 20))
  }
})
