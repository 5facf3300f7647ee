// Looks at every screen of every story: in both themes and three widths, by the
// keyboard alone, and without script. Audits and pictures take most of the time:
// there are two of each screen, of all six with "all".
import { join } from 'node:path';
import { audit, found, input, open, watch } from './browser.mjs';

const widths = [1280, 800, 360];
const closer = (theme, width) => input.all || `${theme} ${width}` === 'light 1280' || `${theme} ${width}` === 'dark 360';

async function look(browser, { story, origin, path }) {
  const name = `${story}${path.replace(/\?.*/, '').replace(/[^A-Za-z0-9-]+/g, '_').replace(/_$/, '')}`;
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' });
  const page = await context.newPage();
  let where = name;
  watch(page, origin, () => where, story === 'lost' ? ['404'] : []);
  await page.goto(origin + path, { waitUntil: 'load' });
  if (await page.locator('h1').count() !== 1) found(name, 'not exactly one h1');
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme });
    for (const width of widths) {
      where = `${name} ${theme} ${width}`;
      await page.setViewportSize({ width, height: 900 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wide > 0) found(where, `wider than the screen by ${wide}px`);
      if (!closer(theme, width)) continue;
      if (input.all || theme === 'dark' || ['calm', 'violated', 'closed'].includes(story)) await audit(page, where);
      await page.screenshot({ path: join(input.shots, `${name}-${theme}-${width}.png`), fullPage: true });
    }
  }
  where = `${name} keyboard`;
  if (input.all || ['calm', 'several', 'closed'].includes(story)) await keyboard(page, where);
  await context.close();
}

// keyboard goes through a page with the Tab key: the way into the content comes
// first, whatever can be used is reached, and what has the focus can be seen.
async function keyboard(page, where) {
  await page.evaluate(() => { document.activeElement?.blur(); window.scrollTo(0, 0); });
  const wanted = await page.evaluate(() => [...document.querySelectorAll('a[href], button, input, summary')]
    .filter((e) => e.tabIndex >= 0 && e.type !== 'hidden' && e.checkVisibility()).length);
  const reached = new Set();
  for (let i = 0; i < Math.min(wanted + 30, 120); i++) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const e = document.activeElement;
      if (!e || e === document.body) return null;
      const style = getComputedStyle(e);
      const all = [...document.querySelectorAll('*')];
      return {
        id: all.indexOf(e), usable: e.matches('a[href], button, input, summary'), html: e.outerHTML.slice(0, 80),
        shown: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1,
      };
    });
    if (!at) continue; // round the end of the page
    if (!at.shown) found(where, `no focus to be seen on ${at.html}`);
    if (at.usable) reached.add(at.id);
  }
  if (reached.size < Math.min(wanted, 90)) found(where, `only ${reached.size} of ${wanted} reached`);
}

// plain looks at a page without script: what it says is there.
async function plain(browser, { story, origin, path }) {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(origin + path, { waitUntil: 'load' });
  if (!(await page.locator('main').innerText()).trim()) found(`${story}${path} without script`, 'empty');
  if (await page.locator('[data-copy]:visible, [data-print]:visible').count()) {
    found(`${story}${path} without script`, 'offers what only a script does');
  }
  await context.close();
}

await open(async (browser) => {
  const queue = [...input.screens];
  const worker = async () => {
    for (let screen; (screen = queue.shift());) {
      await look(browser, screen);
      if (screen.plain) await plain(browser, screen);
    }
  };
  await Promise.all([worker(), worker()]);
});
