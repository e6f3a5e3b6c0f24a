/** The topic class of a message: configured filters first, then the first level; at most so many, then `*`. */
import t from 'tap'
import { Account } from '../../../src/core/ledger/account.js'
import { OTHERS, type TopicClass, TopicClasses } from '../../../src/core/ledger/topic-classes.js'

/** As the ledger does: a class lasts as long as an account in it. */
function settle(topicClass: TopicClass, clientId = 'client'): void {
  topicClass.of(false).set(clientId, new Account(1))
}

t.test('without filters: the first level of the topic', async (t) => {
  const classes = new TopicClasses([], 9)
  t.equal(classes.of('meters/7/power').name, 'meters')
  t.equal(classes.of('meters').name, 'meters')
  t.equal(classes.of('/leading').name, '', 'an empty first level is one')
  t.equal(classes.of('$SYS/clients/a/online').name, '$SYS')
  t.equal(classes.of('meters/8').name, 'meters')
  t.equal(classes.of('meters/7/power'), classes.of('meters/8'), 'one object per class')
})

t.test('configured filters: the first that matches, in the order given; the rest goes by first level', async (t) => {
  const classes = new TopicClasses(['meters/+/power', 'meters/#', '+/alarm'], 9)
  t.equal(classes.of('meters/7/power').name, 'meters/+/power')
  t.equal(classes.of('meters/7/heat').name, 'meters/#')
  t.equal(classes.of('meters').name, 'meters/#', 'the level above `#` too')
  t.equal(classes.of('meters/alarm').name, 'meters/#')
  t.equal(classes.of('doors/alarm').name, '+/alarm')
  t.equal(classes.of('doors/7/alarm').name, 'doors')
})

t.test('beyond topicClassesMax new names are `*`; known ones go on; room that comes back is used', async (t) => {
  const classes = new TopicClasses([], 2)
  settle(classes.of('a/1'))
  const b = classes.of('b/1')
  settle(b)
  const others = classes.of('c/1')
  t.equal(others.name, OTHERS)
  settle(others)
  t.equal(classes.of('d').name, OTHERS)
  t.equal(classes.of('a/2').name, 'a')
  t.equal(classes.of('c/1').name, OTHERS, 'however often it comes')
  others.of(false).clear()
  classes.removeIfEmpty(others)
  b.of(false).clear()
  classes.removeIfEmpty(b)
  t.equal(classes.of('c/1').name, 'c', 'there is room again')
})

t.test('a class with an account stays, one without goes', async (t) => {
  const classes = new TopicClasses([], 9)
  const a = classes.of('a')
  a.of(true).set('client', new Account(1))
  classes.removeIfEmpty(a)
  t.equal(classes.of('a'), a)
  a.of(true).clear()
  classes.removeIfEmpty(a)
  t.equal(classes.size, 0)
  t.not(classes.of('a'), a)
})

t.test('topics of refused publications make no class', async (t) => {
  const classes = new TopicClasses(['meters/#'], 9)
  t.equal(classes.known('anything/#').name, OTHERS)
  t.equal(classes.known('meters/1').name, OTHERS)
  t.equal(classes.size, 1)
  settle(classes.of('meters/1'))
  t.equal(classes.known('meters/2').name, 'meters/#')
})

t.test('many more topics than are remembered', async (t) => {
  const classes = new TopicClasses(['deep/+/x'], 9)
  for (let topic = 0; topic < 10_000; topic += 1) {
    if (classes.of(`deep/${topic}/x`).name !== 'deep/+/x') t.fail(`deep/${topic}/x`)
    if (classes.of(`wide/${topic}`).name !== 'wide') t.fail(`wide/${topic}`)
  }
  t.equal(classes.size, 2)
})
