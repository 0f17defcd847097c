// Looks at the pages in Chromium by the WebDriver protocol, with no package but Node itself.
//
//   node browser.mjs FOLDER ADDRESS ADDRESS-OF-LIST
//
// FOLDER holds complete.html, waiting.html, large.html and hostile.html; pictures are written beside them. ADDRESS is a dashboard of the
// one that waits. Lines CHANGE and STOP on standard output ask that its object be changed and that it be ended; a line comes back.
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';

const [folder, address, addressOfList] = process.argv.slice(2);
const PATIENCE = 30_000;
const DESK = { width: 1280, height: 900, mobile: false };
const PHONE = { width: 390, height: 844, mobile: true };
let checks = 0;
let failures = 0;

const check = (what, good, seen = '') => {
  checks += 1;
  if (!good) {
    failures += 1;
    console.log(`FAILED  ${what}${seen === '' ? '' : `: ${typeof seen === 'string' ? seen : JSON.stringify(seen)}`}`);
  }
};

const until = async (what, look) => {
  const begun = Date.now();
  for (;;) {
    const seen = await look();
    if (seen) return true;
    if (Date.now() - begun > PATIENCE) {
      check(what, false, 'not in time');
      return false;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};

// The driver says on which port it listens.
const profile = await mkdtemp(`${tmpdir()}/holdfast-report-`);
const driver = spawn('chromedriver', ['--port=0'], { stdio: ['ignore', 'pipe', 'inherit'] });
const port = await new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error('chromedriver does not start')), PATIENCE);
  createInterface({ input: driver.stdout }).on('line', (line) => {
    const found = /started successfully on port (\d+)/.exec(line);
    if (found) {
      clearTimeout(timer);
      resolve(Number(found[1]));
    }
  });
  driver.on('error', reject);
  driver.on('exit', () => reject(new Error('chromedriver ended')));
});

const ask = async (method, path, body) => {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    body: body === undefined ? undefined : JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  });
  const { value } = await answer.json();
  if (!answer.ok) throw new Error(`${method} ${path}: ${value.message}`);
  return value;
};

const { sessionId } = await ask('POST', '/session', {
  capabilities: {
    alwaysMatch: {
      browserName: 'chrome',
      'goog:loggingPrefs': { browser: 'ALL' },
      'goog:chromeOptions': { args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars', `--user-data-dir=${profile}`] },
    },
  },
});
const session = `/session/${sessionId}`;
const cdp = (cmd, params = {}) => ask('POST', `${session}/goog/cdp/execute`, { cmd, params });
const run = (script, ...args) => ask('POST', `${session}/execute/sync`, { script, args });
const find = async (selector) => Object.values(await ask('POST', `${session}/element`, { using: 'css selector', value: selector }))[0];
const click = async (selector) => ask('POST', `${session}/element/${await find(selector)}/click`, {});
const type = async (selector, text) => ask('POST', `${session}/element/${await find(selector)}/value`, { text });
const clear = async (selector) => {
  await ask('POST', `${session}/element/${await find(selector)}/clear`, {});
  await run('document.querySelector(arguments[0]).dispatchEvent(new Event("input", {bubbles: true}))', selector);
};

const look = async (scheme, size) => {
  await cdp('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
  await cdp('Emulation.setDeviceMetricsOverride', { ...size, deviceScaleFactor: 1 });
};
const open = async (address, scheme, size) => {
  await look(scheme, size);
  await ask('POST', `${session}/url`, { url: address });
};
const picture = async (name, most = 2600) => {
  const height = Math.min(await run('return document.documentElement.scrollHeight'), most);
  const width = await run('return document.documentElement.clientWidth');
  const { data } = await cdp('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true, clip: { x: 0, y: 0, width, height, scale: 1 } });
  await writeFile(`${folder}/${name}.png`, Buffer.from(data, 'base64'));
};
const errors = async () => (await ask('POST', `${session}/se/log`, { type: 'browser' })).filter((entry) => entry.level !== 'INFO' && entry.level !== 'DEBUG');

// Every text that is seen, with the contrast to what is behind it (WCAG 2.2, 1.4.3).
const CONTRAST = `
  const linear = (part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const bright = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ratio = (one, other) => { const [a, b] = [bright(one), bright(other)].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05); };
  const parts = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const behind = (element) => {
    if (element.closest('.node')) return parts(getComputedStyle(element.closest('.node').querySelector('rect')).fill);
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length >= 3 && (colour.length < 4 || colour[3] > 0)) return colour;
    }
    return [255, 255, 255];
  };
  const poor = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || ['SCRIPT', 'STYLE', 'TITLE', 'title', 'OPTION'].includes(element.tagName)) continue;
    if (!element.checkVisibility()) continue;
    seen += 1;
    const style = getComputedStyle(element);
    const colour = parts(element.namespaceURI.includes('svg') ? style.fill : style.color);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const found = ratio(colour, behind(element));
    if (found < (large ? 3 : 4.5)) poor.add(element.tagName + '.' + (element.className.baseVal ?? element.className) + ' ' + found.toFixed(2));
  }
  return { seen, poor: [...poor] };
`;
const LINES = `
  const linear = (part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const bright = (colour) => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number); return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b); };
  const ground = bright(getComputedStyle(document.querySelector('.canvas')).backgroundColor);
  return [...document.querySelectorAll('.graph .new path')].map((path) => bright(getComputedStyle(path).stroke))
    .map((line) => (Math.max(line, ground) + 0.05) / (Math.min(line, ground) + 0.05)).reduce((least, found) => Math.min(least, found), 99);
`;

// What holds for every page in every light and width.
const sound = async (name, size) => {
  const found = await errors();
  check(`${name}: no error in the console`, found.length === 0, found.map((entry) => entry.message));
  const title = await run('return document.title');
  check(`${name}: the title is its own`, title !== 'broken' && title.includes(' in '), title);
  const wide = await run(`
    const width = document.documentElement.clientWidth;
    const over = document.documentElement.scrollWidth > width;
    return over ? [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > width + 1 && !e.closest('.wide, .canvas')).slice(0, 3).map((e) => e.outerHTML.slice(0, 80)) : [];`);
  const scrolls = await run('return document.documentElement.scrollWidth - document.documentElement.clientWidth');
  check(`${name}: nothing is wider than the window`, scrolls <= 0, [scrolls, wide]);
  const { seen, poor } = await run(CONTRAST);
  check(`${name}: texts stand out`, seen > 20 && poor.length === 0, { seen, poor });
};

// checkVisibility() says nothing of what in a picture has no display.
const shown = (selector) => run('return [...document.querySelectorAll(arguments[0])].filter((e) => e.checkVisibility() && getComputedStyle(e).display !== "none").length', selector);

try {
  for (const page of ['complete', 'waiting', 'large', 'hostile']) {
    for (const scheme of ['light', 'dark']) {
      for (const [device, size] of [['desk', DESK], ['phone', PHONE]]) {
        const name = `${page}-${scheme}-${device}`;
        await open(`file://${folder}/${page}.html`, scheme, size);
        await sound(name, size);
        await picture(name);
      }
      const least = await run(LINES);
      check(`${page}-${scheme}: lines stand out`, least >= 3, least);
    }
  }

  // Markup that is shown in the places of names is text.
  await open(`file://${folder}/hostile.html`, 'light', DESK);
  check('hostile: names are shown as they are', (await run('return document.body.innerText')).includes("<script>document.title='broken'</script>"));
  check('hostile: nothing of them became an element', (await run('return document.querySelectorAll("img, main script").length')) === 0);

  // Search, filters, before and after.
  await open(`file://${folder}/complete.html`, 'light', DESK);
  const tables = await shown('.tables > details');
  check('complete: all tables are listed', tables === 23, tables);
  await type('#search', 'bookmark');
  check('search: only tables that match, or have a key that does', (await shown('.tables > details')) === 4, await shown('.tables > details'));
  check('search: the count says so', (await run('return document.querySelector("#count").textContent')) === '4 of 23 tables');
  check('search: others recede in the picture', (await run('return document.querySelectorAll(".node.dim").length')) > 5);
  check('search: rows of other parts too', (await shown('#validation tr[data-row]')) === 1);
  await clear('#search');
  check('search: cleared, all is back', (await shown('.tables > details')) === 23);
  await run('const s = document.querySelector("#action"); s.value = "set-null"; s.dispatchEvent(new Event("input", {bubbles: true}))');
  const lines = await run('return [...document.querySelectorAll(".graph > g:not(.dim)")].map((line) => line.dataset.a)');
  check('filter: only keys of that action', lines.length === 3 && lines.every((action) => action === 'set-null'), lines);
  await run('const s = document.querySelector("#action"); s.value = ""; const t = document.querySelector("#stage"); t.value = "1"; t.dispatchEvent(new Event("input", {bubbles: true}))');
  check('filter: only keys of that stage', (await run('return document.querySelectorAll(".graph > g:not(.dim)").length')) === 14);
  await run('const t = document.querySelector("#stage"); t.value = ""; t.dispatchEvent(new Event("input", {bubbles: true}))');
  check('after: all lines', (await shown('.graph > g')) === 27);
  await click('label[for=view-before]');
  check('before: only what was there', (await shown('.graph > g')) === 3, await shown('.graph > g'));
  await picture('before-light-desk', 1600);
  await click('label[for=view-after]');
  check('after: all lines again', (await shown('.graph > g')) === 27);
  await run('location.hash = "#" + [...document.querySelectorAll(".tables > details")].find((t) => t.querySelector("code").textContent === "bookmarks").id');
  await until('a table that is gone to is unfolded', async () => (await shown('.tables > details[open] .keys li')) >= 3);
  await sound('complete, unfolded', DESK);

  await open(`file://${folder}/large.html`, 'light', DESK);
  await type('#search', 'invoice_tag');
  const few = await shown('.tables > details');
  check('large: search finds few of many', few > 0 && few < 60, few);
  check('large: the count says of how many', (await run('return document.querySelector("#count").textContent')).endsWith('of 300 tables'));
  await picture('large-search-light-desk', 2000);
  await run('for (const fold of document.querySelectorAll("details")) fold.open = true');
  await clear('#search');
  await sound('large, all unfolded', DESK);
  await look('light', PHONE);
  await sound('large, all unfolded, on a phone', PHONE);

  // Without JavaScript all is there, and before and after too.
  await cdp('Emulation.setScriptExecutionDisabled', { value: true });
  await open(`file://${folder}/complete.html`, 'light', DESK);
  await picture('without-script-light-desk', 1600);
  await cdp('Emulation.setScriptExecutionDisabled', { value: false });
  check('without script: no search that does nothing', (await shown('#tools')) === 0);
  check('without script: all tables and lines', (await shown('.tables > details')) === 23 && (await shown('.graph > g')) === 27);

  // The dashboard follows its object, and what a person did stays.
  const answers = createInterface({ input: process.stdin });
  const answered = () => new Promise((resolve) => answers.once('line', resolve));
  await open(addressOfList, 'light', DESK);
  check('list: a line for each', (await shown('tr[data-row]')) === 4);
  await sound('list', DESK);
  await picture('list-light-desk');
  await click('tr[data-row] a');
  await until('list: a name leads to its page', async () => (await run('return document.querySelector("h1").innerText')).includes('complete'));
  await open(address, 'dark', DESK);
  const heading = () => run('return document.querySelector("h1").innerText');
  check('dashboard: as it stands', (await heading()).includes('WAITS FOR APPROVAL'), await heading());
  await until('dashboard: an approval of another plan is listed', async () => (await run('return document.querySelector("#approvals").innerText')).includes('for the plan of yesterday; of another plan; decides nothing now'));
  await type('#search', 'comments');
  const found = await shown('.tables > details');
  await run('document.querySelector("#conditions").open = true');
  const changed = answered();
  console.log('CHANGE');
  await changed;
  await until('dashboard: it shows the change by itself', async () => (await heading()).includes('AT WORK'));
  check('dashboard: what was unfolded stays so', await run('return document.querySelector("#conditions").open'));
  check('dashboard: what was searched stays so', found > 0 && (await shown('.tables > details')) === found);
  check('dashboard: it says that it is live', (await run('return document.querySelector("#live").textContent')).startsWith('Live, read-only. As of '));
  await sound('dashboard', DESK);
  await picture('dashboard-dark-desk', 1400);
  const stopped = answered();
  console.log('STOP');
  await stopped;
  await until('dashboard: once it is ended, the page says so', async () => (await run('return document.querySelector("#live").className')) === 'lost');
  answers.close();
} catch (error) {
  check('the whole', false, error.stack);
} finally {
  await ask('DELETE', session).catch(() => {});
  driver.removeAllListeners('exit');
  driver.kill();
  await rm(profile, { recursive: true, force: true });
}
console.log(`${checks - failures} passed, ${failures} failed`);
process.exitCode = failures === 0 ? 0 : 1;
process.stdin.destroy();
