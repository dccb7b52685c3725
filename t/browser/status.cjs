// What t/status-browser.t does in Chromium: the path of playwright-core and a
// JSON object come in, a JSON object with what was seen goes out.

const { chromium } = require(process.argv[2]);
const { page: address, connect, body } = JSON.parse(process.argv[3]);
const said = { policy: [], hosts: [] };
const hosts = new Set();

async function open(browser, options) {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(300000);      // a slow machine is no failure
    const page = await context.newPage();
    context.on('request', (r) => hosts.add(new URL(r.url()).host));
    page.on('console', (m) => said.policy.push(m.text()));
    await page.goto(address);
    return page;
}

const companies = (page) => page.locator('tbody th[scope=row] br').count();
const again = (page) => page.evaluate(() =>
    document.dispatchEvent(new Event('visibilitychange')));

async function script(browser) {
    const page = await open(browser, {});
    said.before = await companies(page);
    await page.focus('#again');

    // a program connects another one meanwhile
    await fetch(connect, { method: 'POST', body,
        headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    await again(page);
    await page.waitForFunction(() =>
        document.querySelectorAll('tbody th[scope=row] br').length === 2);
    said.after = await companies(page);
    said.focus = await page.evaluate(() => document.activeElement.id);

    let asked = 0;
    page.on('request', () => asked++);
    await page.click('#pause');
    await again(page);
    said.paused = asked;
    said.button = await page.textContent('#pause');
    await page.click('#pause');
    await page.waitForFunction(() => document.getElementById('pause').textContent
        === 'Pause updates');
    said.resumed = asked > 0;

    await page.setViewportSize({ width: 375, height: 700 });
    said.meter = await page.evaluate(() => [...document.styleSheets].some((sheet) =>
        [...sheet.cssRules].some((rule) => /meter-optimum/.test(rule.selectorText))));
    said.wide = await page.evaluate(() =>
        document.documentElement.scrollWidth > window.innerWidth);
}

async function plain(browser) {
    const page = await open(browser, { javaScriptEnabled: false });
    said.without = await page.locator('#pause').count();
    await page.click('button:text-is("Refresh") >> nth=0');
    said.refreshed = await page.textContent('[role=status]');

    await page.keyboard.press('Tab');
    await page.focus('summary >> nth=0');
    await page.keyboard.press('Enter');
    await page.click('details[open] button');
    said.disconnected = await page.textContent('[role=status]');
    said.left = await companies(page);
}

(async () => {
    const browser = await chromium.launch({
        executablePath: '/usr/bin/chromium',
        args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic',
            '--no-first-run', '--disable-background-networking',
            '--disable-component-update', '--disable-sync'],
    });
    for (const part of [script, plain]) {
        await part(browser).catch((e) => said[part.name] = String(e));
    }
    await browser.close();
    said.hosts = [...hosts];
    process.stdout.write(JSON.stringify(said));
})();
