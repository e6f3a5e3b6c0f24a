/** The files that the journal consists of. */
import { readdirSync } from 'node:fs'

const SLOT_NAME = /^journal\.(\d{1,6})$/

export function slotNames(directory: string): string[] {
  return readdirSync(directory).filter((name) => SLOT_NAME.test(name))
}

export function slotIndex(name: string): number {
  return Number(SLOT_NAME.exec(name)?.[1])
}

export function slotName(index: number): string {
  return `journal.${index}`
}
