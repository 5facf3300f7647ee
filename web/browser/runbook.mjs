// Takes the runbook away from the page: copies its commands, and prints it.
import { found, input, open } from './browser.mjs';

await open(async (browser) => {
  const context = await browser.newContext();
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: input.origin });
  const page = await context.newPage();
  await page.addInitScript(() => { window.print = () => { window.printed = true; }; });
  await page.goto(`${input.origin}/nodes/${input.node}/recovery`, { waitUntil: 'load' });
  const commands = page.locator('.command');
  const n = await commands.count();
  if (n === 0) found('recovery', 'it has no commands');
  for (let i = 0; i < n; i++) {
    const text = await commands.nth(i).locator('code').innerText();
    await commands.nth(i).getByRole('button', { name: 'Copy' }).click();
    await commands.nth(i).getByRole('button', { name: 'Copied' }).waitFor({ timeout: 10_000 });
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    if (copied.trim() !== text.trim()) found('recovery', `"${text}" is copied as "${copied}"`);
  }
  await page.getByRole('button', { name: 'Print' }).click();
  if (!await page.evaluate(() => window.printed)) found('recovery', 'Print does not print');
  await page.emulateMedia({ media: 'print' });
  const shown = await page.locator('body').innerText();
  for (const want of ['Runbook for', 'holdfast restore ']) {
    if (!shown.includes(want)) found('printed', `without "${want}": ${shown}`);
  }
  for (const button of await page.getByRole('button').all()) {
    if (await button.isVisible()) found('printed', `a button: ${await button.innerText()}`);
  }
  await page.pdf({ path: `${input.shots}/runbook.pdf`, format: 'A4' });
  await page.setViewportSize({ width: 794, height: 1123 });
  await page.screenshot({ path: `${input.shots}/runbook.png`, fullPage: true });
});
