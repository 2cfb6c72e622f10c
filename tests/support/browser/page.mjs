// Opens a page in a real Chromium and says what is wrong with it and what can be seen: page.mjs HOME URL.
import { createRequire } from 'node:module';
import path from 'node:path';

const [home, url] = process.argv.slice(2);
const { chromium } = createRequire(path.join(home, 'package.json'))('playwright-core');
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
const page = await browser.newPage();
const errors = [];
page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
page.on('pageerror', (error) => errors.push(String(error)));
page.on('requestfailed', (request) => errors.push(request.url()));
await page.goto(url);
const visible = async (selector) => {
  let count = 0;
  for (const element of await page.$$(selector)) {
    const box = await element.boundingBox();
    count += box && box.width > 100 && box.height > 50 ? 1 : 0;
  }
  return count;
};
console.log(JSON.stringify({
  errors, title: await page.title(), charts: await visible('.charts svg'), ladders: await visible('.ladder svg'),
  text: await page.innerText('body'),
}));
await browser.close();
