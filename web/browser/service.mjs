// Uses the page of a real service as an operator does: logs in, backs up now,
// and watches until the new set is there.
import { audit, found, input, open, watch } from './browser.mjs';

await open(async (browser) => {
  const page = await (await browser.newContext()).newPage();
  let where = 'login';
  watch(page, input.origin, () => where, ['401']);
  const wait = { timeout: 60_000 };
  await page.goto(input.origin, { waitUntil: 'load' });
  await page.getByLabel('Name').fill('ada');
  await page.getByLabel('Password').fill('not the right password');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByText('Wrong name or password.').waitFor(wait);
  await page.getByLabel('Name').fill('ada');
  await page.getByLabel('Password').fill(input.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  where = 'overview';
  await page.getByRole('heading', { level: 1 }).waitFor(wait);
  const before = await sets(page);
  await page.getByRole('button', { name: 'Back up now' }).click();
  await page.getByText('A backup is requested.').waitFor(wait);
  // Without loading the page again: it hears of it.
  await page.locator('#live').getByText(/set .* is stored: proven/).waitFor(wait);
  where = 'timeline';
  for (let i = 0; i < 60 && await sets(page) <= before; i++) {
    await page.waitForTimeout(500);
  }
  const after = await sets(page);
  if (after !== before + 1) found(where, `${before} sets before, ${after} after`);
  where = 'set';
  await page.goto(`${input.origin}/nodes/${input.node}/timeline`, { waitUntil: 'load' });
  await page.locator('tbody a.id').first().click();
  await page.getByText('holdfast restore ').first().waitFor(wait);
  await audit(page, where);
  where = 'activity';
  await page.goto(`${input.origin}/nodes/${input.node}/activity`, { waitUntil: 'load' });
  const trail = page.locator('section').filter({ has: page.getByRole('heading', { name: 'Audit trail' }) });
  for (const said of ['logged in as operator', 'requested backup']) {
    for (let i = 0; i < 60 && await trail.getByText(said).count() === 0; i++) {
      await page.waitForTimeout(500);
      await page.reload({ waitUntil: 'load' });
    }
    const line = trail.locator('li').filter({ hasText: said });
    if (await line.count() === 0) found(where, `the audit trail does not say "${said}"`);
    else if (!(await line.first().innerText()).includes('ada on the page')) found(where, `who ${said}?`);
  }
  await audit(page, where);
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('heading', { name: 'Log in' }).waitFor(wait);

  // sets is how many there are, as the interface says.
  async function sets() {
    const r = await page.request.get(`${input.origin}/api/v1/nodes/${input.node}/sets`);
    return (await r.json()).value.length;
  }
});
