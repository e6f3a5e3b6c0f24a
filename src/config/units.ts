/** Durations and sizes as people write them: `30s`, `1.5h`, `2MiB`. Only for files and the environment. */

const UNITS = {
  ms: { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 },
  s: { s: 1, m: 60, h: 3_600, d: 86_400 },
  bytes: {
    B: 1,
    KiB: 2 ** 10,
    MiB: 2 ** 20,
    GiB: 2 ** 30,
    TiB: 2 ** 40,
    kB: 1e3,
    KB: 1e3,
    MB: 1e6,
    GB: 1e9,
    TB: 1e12,
  },
} as const satisfies Record<string, Record<string, number>>

/** @returns the number in the option's own unit, or undefined when the text is not one or does not come out whole. */
export function numberFromText(text: string, unit: keyof typeof UNITS): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(text.trim())
  const factor = (UNITS[unit] as Record<string, number>)[match?.[2] ?? '']
  if (match === null || factor === undefined) return undefined
  const value = Number(match[1]) * factor
  return Number.isSafeInteger(value) ? value : undefined
}

/** How such a text looks, for the published schema. */
export function textPattern(unit: keyof typeof UNITS): string {
  return `^[0-9]+(\\.[0-9]+)? ?(${Object.keys(UNITS[unit]).join('|')})$`
}
