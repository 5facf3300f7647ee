// Logs in at the page by a real OpenID provider, as its operators do.
import { found, input, open } from './browser.mjs';

await open(async (browser) => {
  const page = await (await browser.newContext()).newPage();
  // The provider's own form takes a font from elsewhere, and waits for it.
  await page.route(/^https:/, (route) => route.abort());
  await page.goto(`${input.origin}/nodes/${input.node}/growth`);
  await page.getByRole('link', { name: 'Log in with your organization' }).click();
  await page.locator('input[name=login]').fill('ada');
  await page.locator('input[name=password]').fill('any');
  await page.locator('button[type=submit]').click();
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.waitForURL(`${input.origin}/**`);
  const text = await page.locator('body').innerText();
  if (input.refused) {
    if (!text.includes(input.refused)) found('login', `without "${input.refused}": ${text}`);
    return;
  }
  if (!page.url().endsWith('/growth')) found('login', `it ends at ${page.url()}: ${text}`);
  if (!text.includes('ada@example.com')) found('growth', `it does not say who is there: ${text}`);
});
