/**
 * The part of strftime(3) that output formats use, in local time and English. What it does not know stays as it is
 * written, as glibc does it.
 */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]

type Field = (time: Date) => string

const FIELDS: { readonly [letter: string]: Field } = {
  a: (time) => DAYS[time.getDay()]!.slice(0, 3),
  A: (time) => DAYS[time.getDay()]!,
  b: (time) => MONTHS[time.getMonth()]!.slice(0, 3),
  B: (time) => MONTHS[time.getMonth()]!,
  c: (time) => `${FIELDS.a!(time)} ${FIELDS.b!(time)} ${FIELDS.e!(time)} ${FIELDS.T!(time)} ${FIELDS.Y!(time)}`,
  C: (time) => digits(Math.floor(time.getFullYear() / 100), 2),
  d: (time) => digits(time.getDate(), 2),
  D: (time) => `${FIELDS.m!(time)}/${FIELDS.d!(time)}/${FIELDS.y!(time)}`,
  e: (time) => String(time.getDate()).padStart(2),
  F: (time) => `${FIELDS.Y!(time)}-${FIELDS.m!(time)}-${FIELDS.d!(time)}`,
  h: (time) => FIELDS.b!(time),
  H: (time) => digits(time.getHours(), 2),
  I: (time) => digits(((time.getHours() + 11) % 12) + 1, 2),
  j: (time) => digits(dayOfYear(time), 3),
  k: (time) => String(time.getHours()).padStart(2),
  l: (time) => String(((time.getHours() + 11) % 12) + 1).padStart(2),
  m: (time) => digits(time.getMonth() + 1, 2),
  M: (time) => digits(time.getMinutes(), 2),
  n: () => '\n',
  N: (time) => digits(time.getMilliseconds() * 1_000_000, 9),
  p: (time) => (time.getHours() < 12 ? 'AM' : 'PM'),
  r: (time) => `${FIELDS.I!(time)}:${FIELDS.M!(time)}:${FIELDS.S!(time)} ${FIELDS.p!(time)}`,
  R: (time) => `${FIELDS.H!(time)}:${FIELDS.M!(time)}`,
  s: (time) => String(Math.floor(time.getTime() / 1_000)),
  S: (time) => digits(time.getSeconds(), 2),
  t: () => '\t',
  T: (time) => `${FIELDS.H!(time)}:${FIELDS.M!(time)}:${FIELDS.S!(time)}`,
  u: (time) => String(((time.getDay() + 6) % 7) + 1),
  w: (time) => String(time.getDay()),
  x: (time) => FIELDS.D!(time),
  X: (time) => FIELDS.T!(time),
  y: (time) => digits(time.getFullYear() % 100, 2),
  Y: (time) => String(time.getFullYear()),
  z: (time) => offset(time),
}

/** One conversion, named by its letter. */
export function strftime(letter: string, time: Date): string {
  return Object.hasOwn(FIELDS, letter) ? FIELDS[letter]!(time) : `%${letter}`
}

function digits(value: number, width: number): string {
  return String(value).padStart(width, '0')
}

function dayOfYear(time: Date): number {
  const noon = Date.UTC(time.getFullYear(), time.getMonth(), time.getDate())
  return Math.round((noon - Date.UTC(time.getFullYear(), 0, 1)) / 86_400_000) + 1
}

function offset(time: Date): string {
  const minutes = -time.getTimezoneOffset()
  const size = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${digits(Math.floor(size / 60), 2)}${digits(size % 60, 2)}`
}
