/** The Chromium on the PATH, headless and silent on the network; it ends with the test. */
import { spawnSync } from 'node:child_process'
import { chromium, type Page } from 'playwright-core'
import type { Test } from 'tap'

const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export async function openPage(t: Test, origin: string): Promise<Page> {
  const executablePath = spawnSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).stdout.trim()
  const browser = await chromium.launch({ executablePath, args: ARGS })
  t.teardown(() => browser.close())
  const page = await browser.newPage()
  await page.goto(origin)
  return page
}
