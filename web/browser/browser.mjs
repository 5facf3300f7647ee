// Drives a real browser. What it needs comes as JSON on standard input, what it
// finds goes to standard output, one JSON object on a line. A test in Go starts
// it and decides.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

const require = createRequire(join(process.env.HOLDFAST_TEST_BROWSER, 'package.json'));
const { chromium } = require('playwright-core');
const { AxeBuilder } = require('@axe-core/playwright');

export const input = JSON.parse(await text(process.stdin));
export const found = (where, what) => console.log(JSON.stringify({ where, what }));

// open starts the browser, runs fn with it, and ends it.
export async function open(fn) {
  const browser = await chromium.launch({
    executablePath: process.env.HOLDFAST_TEST_CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
  });
  try {
    await fn(browser);
  } finally {
    await browser.close();
  }
}

// watch reports what a page logs as an error, and every request that leaves its
// own origin.
export function watch(page, origin, where, expected = []) {
  page.on('console', (m) => {
    if (['error', 'warning'].includes(m.type()) && !expected.some((e) => m.text().includes(e))) {
      found(where(), `console: ${m.text()}`);
    }
  });
  page.on('pageerror', (e) => found(where(), `script: ${e.message}`));
  page.on('request', (r) => {
    if (!r.url().startsWith(origin) && !r.url().startsWith('data:')) found(where(), `request to ${r.url()}`);
  });
}

// audit reports what axe finds to be serious.
export async function audit(page, where) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  for (const v of violations.filter((v) => ['serious', 'critical'].includes(v.impact))) {
    found(where, `axe: ${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html).join(' | ')}`);
  }
}
