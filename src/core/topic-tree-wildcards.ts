/**
 * The trie of topic filters that hold a wildcard: finds every one that matches a topic name. It knows levels, `+`, `#`
 * and the `$` rule; what a filter stands for is the caller's value. No recursion, because depth comes from the wire.
 * The one idea: a million filters `device/{id}/#` are a million nodes, so a node is five fields, its only child is held
 * directly, a Map comes with the second and a table with the thousandth, and `#` is a field of its parent, not a node.
 */
import { assert } from '../base/assert.js'
import { isLevel, LevelTable } from './level-table.js'

/** A Map of this size becomes a table, or, if its levels collide, one of twice the size. */
const TABLE_CHILDREN_MIN = 1_024
/** A table of this size becomes a Map again. */
const MAP_CHILDREN = 256

class TrieNode<V> {
  readonly level: string
  children: TrieNode<V> | Map<string, TrieNode<V>> | LevelTable<TrieNode<V>> | null = null
  plus: TrieNode<V> | null = null
  /** Of the filter that ends here. */
  value: V | null = null
  /** Of the filter that goes on with `/#`; it matches this very level too [v5 4.7.1.2]. */
  hashValue: V | null = null

  constructor(level: string) {
    this.level = level
  }
}

export class WildcardTrie<V> {
  readonly #root = new TrieNode<V>('')
  /** Scratch of `collect`. */
  #nodes: TrieNode<V>[] = []
  #nextNodes: TrieNode<V>[] = []

  get(topicFilter: string): V | undefined {
    let node: TrieNode<V> | undefined = this.#root
    for (let start = 0; start <= topicFilter.length; ) {
      const end = levelEnd(topicFilter, start)
      const level = topicFilter.slice(start, end)
      if (level === '#') return node.hashValue ?? undefined
      node = childOf(node, level)
      if (node === undefined) return undefined
      start = end + 1
    }
    return node.value ?? undefined
  }

  set(topicFilter: string, value: V): void {
    let node = this.#root
    for (let start = 0; start <= topicFilter.length; ) {
      const end = levelEnd(topicFilter, start)
      const level = topicFilter.slice(start, end)
      if (level === '#') {
        assert(end === topicFilter.length, '# is the last level of a topic filter')
        node.hashValue = value
        return
      }
      node = childOf(node, level) ?? addChild(node, level)
      start = end + 1
    }
    node.value = value
  }

  delete(topicFilter: string): void {
    const path: TrieNode<V>[] = [this.#root]
    let node: TrieNode<V> | undefined = this.#root
    let endsInHash = false
    for (let start = 0; start <= topicFilter.length && !endsInHash; ) {
      const end = levelEnd(topicFilter, start)
      const level = topicFilter.slice(start, end)
      if (level === '#') {
        endsInHash = true
        break
      }
      node = childOf(node, level)
      if (node === undefined) return
      path.push(node)
      start = end + 1
    }
    if (endsInHash) node.hashValue = null
    else node.value = null
    for (let depth = path.length - 1; depth > 0; depth -= 1) {
      const last = path[depth] as TrieNode<V>
      if (last.value !== null || last.hashValue !== null || last.plus !== null || last.children !== null) return
      removeChild(path[depth - 1] as TrieNode<V>, last)
    }
  }

  /** Appends the values of all filters that match to `found`. */
  collect(topicName: string, found: V[]): void {
    let nodes = this.#nodes
    let nextNodes = this.#nextNodes
    nodes.push(this.#root)
    // A filter that starts with a wildcard does not match a topic that starts with $ [v5 MQTT-4.7.2-1].
    let wildcardsCount = topicName.charCodeAt(0) !== 0x24
    for (let start = 0; start <= topicName.length && nodes.length > 0; ) {
      const end = levelEnd(topicName, start)
      // Cut out only for a Map to be asked: most levels of most topics meet none.
      let level: string | null = null
      for (const node of nodes) {
        const children = node.children
        if (children instanceof LevelTable) {
          const child = children.find(topicName, start, end)
          if (child !== null) nextNodes.push(child)
        } else if (children instanceof Map) {
          level ??= topicName.slice(start, end)
          const child = children.get(level)
          if (child !== undefined) nextNodes.push(child)
        } else if (children !== null && isLevel(children.level, topicName, start, end)) nextNodes.push(children)
        if (!wildcardsCount) continue
        if (node.hashValue !== null) found.push(node.hashValue)
        if (node.plus !== null) nextNodes.push(node.plus)
      }
      wildcardsCount = true
      const finished = nodes
      nodes = nextNodes
      nextNodes = finished
      empty(nextNodes)
      start = end + 1
    }
    for (const node of nodes) {
      if (node.value !== null) found.push(node.value)
      if (node.hashValue !== null) found.push(node.hashValue)
    }
    empty(nodes)
    this.#nodes = nodes
    this.#nextNodes = nextNodes
  }
}

/** Setting the length of an array is a call into the engine; these have an element or two. */
function empty(nodes: unknown[]): void {
  while (nodes.length > 0) nodes.pop()
}

function levelEnd(topic: string, start: number): number {
  const slash = topic.indexOf('/', start)
  return slash === -1 ? topic.length : slash
}

function childOf<V>(node: TrieNode<V>, level: string): TrieNode<V> | undefined {
  if (level === '+') return node.plus ?? undefined
  const children = node.children
  if (children instanceof LevelTable) return children.find(level, 0, level.length) ?? undefined
  if (children instanceof Map) return children.get(level)
  return children !== null && children.level === level ? children : undefined
}

function addChild<V>(node: TrieNode<V>, level: string): TrieNode<V> {
  const child = new TrieNode<V>(level)
  const children = node.children
  if (level === '+') node.plus = child
  else if (children === null) node.children = child
  else if (children instanceof LevelTable) {
    if (!children.add(child)) node.children = asMap(children).set(level, child)
  } else if (children instanceof Map) {
    children.set(level, child)
    const { size } = children
    // At powers of two only: levels that collide are not tried again with each one that comes.
    if (size >= TABLE_CHILDREN_MIN && (size & (size - 1)) === 0) {
      node.children = LevelTable.of(children.values(), size) ?? children
    }
  } else {
    node.children = new Map([
      [children.level, children],
      [level, child],
    ])
  }
  return child
}

function asMap<V>(table: LevelTable<TrieNode<V>>): Map<string, TrieNode<V>> {
  return new Map(Array.from(table, (child) => [child.level, child]))
}

function removeChild<V>(node: TrieNode<V>, child: TrieNode<V>): void {
  const children = node.children
  if (child === node.plus) node.plus = null
  else if (child === children) node.children = null
  else if (children instanceof LevelTable) {
    children.remove(child)
    if (children.size === MAP_CHILDREN) node.children = asMap(children)
  } else if (children instanceof Map) {
    children.delete(child.level)
    if (children.size === 0) node.children = null
  }
}
