// What t/browser.t does in Chromium: the path of playwright-core and a JSON
// object with addresses come in, a JSON object with what was seen goes out.

const { chromium } = require(process.argv[2]);
const { base, strict, elsewhere, nasty } = JSON.parse(process.argv[3]);
const said = {};
const hosts = new Set();
const policy = [];

async function site(browser) {
    const context = await browser.newContext();
    context.setDefaultTimeout(300000);      // a slow machine is no failure
    const page = await context.newPage();
    context.on('request', (r) => {
        if (/^https?:/.test(r.url())) {
            hosts.add(new URL(r.url()).hostname);
        }
    });
    page.on('console', (m) => {
        if (/Content Security Policy/.test(m.text())) {
            policy.push(m.text());
        }
    });
    return { context, page };
}

async function consent(page) {
    await page.check('input[value="4620816365041297150"]');
    await page.click('button.go');
}

const text = (page) => page.textContent('p');
const cookie = async (context) =>
    (await context.cookies()).find((c) => c.name === '__Host-intuit');

async function login() {
    const { context, page } = await site(this);

    await page.goto(base + '/index.html?a=1');
    said.at_intuit = page.url().includes('/connect/oauth2?');
    await consent(page);
    await page.waitForURL(base + '/**');
    said.back_at = page.url();
    said.tool = await text(page);
    said.cookie = await cookie(context);
    said.left = (await context.cookies()).map((c) => c.name)
        .filter((n) => n.includes('-login-')).length;

    await page.goBack();
    said.script = await page.evaluate(() => document.cookie).catch(() => '');

    const other = await context.newPage();
    await other.goto(elsewhere + '/img.html');
    await other.goto(elsewhere + '/form.html');
    await other.click('button');
    said.form = await other.textContent('h1');
    await other.goto(base + '/index.html');
    said.still_in = await text(other);

    await other.goto(elsewhere + '/link.html');
    await other.click('#a');
    said.asked = await other.textContent('h1');
    await other.goto(base + '/index.html');
    said.in_after_link = await text(other);

    await other.goto(elsewhere + '/link.html');
    await other.click('#a');
    await other.click('button');
    await other.waitForURL(base + '/bye.html');
    said.confirmed = await text(other);
    said.cookie_after = await cookie(context) ?? null;

    await other.goto(base + '/index.html');
    said.asked_again = other.url().includes('/connect/oauth2?');
    await consent(other);
    await other.waitForURL(base + '/**');
    await other.click('a');
    await other.waitForURL(base + '/bye.html');
    said.linked = await text(other);
    await context.close();
}

async function strictly() {
    const { context, page } = await site(this);

    await page.goto(strict + '/index.html?a=1&b=2');
    await consent(page);
    await page.waitForURL(strict + '/index.html?a=1&b=2');
    said.strict_at = page.url();
    said.strict_tool = await text(page);
    said.strict_cookie = (await cookie(context))?.sameSite;
    await page.goto(elsewhere + '/strict.html');
    await page.click('#a');
    await page.waitForURL(/oauth2|index\.html/);
    said.strict_link = page.url().includes('/connect/oauth2?');
    await consent(page);
    await page.waitForURL(strict + '/index.html');
    said.strict_again = await text(page);
    await context.close();
}

async function targets() {
    said.ends = {};

    const starts = nasty.flatMap((target) => [
        base + '/intuit/login?return_to=' + encodeURIComponent(target),
        ...target.startsWith('/') ? [base + target] : []]);

    await Promise.all([1, 2].map(async () => {
        const { context, page } = await site(this);

        for (let start; (start = starts.shift()); ) {
            await context.clearCookies();
            await page.goto(start, { waitUntil: 'commit' });

            if (page.url().includes('/connect/oauth2?')) {
                await page.waitForSelector('button.go');
                await Promise.all([
                    page.waitForURL((u) => !u.href.includes('/oauth2'),
                        { waitUntil: 'commit' }),
                    page.evaluate(() => {
                        document.querySelector(
                            'input[value="4620816365041297150"]').checked = true;
                        document.querySelector('button.go').click();
                    }),
                ]);
            }

            said.ends[start] = [page.url(), await cookie(context) ? 1 : 0];
        }

        await context.close();
    }));
}

(async () => {
    const browser = await chromium.launch({
        executablePath: '/usr/bin/chromium',
        args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic',
            '--no-first-run', '--disable-background-networking',
            '--disable-component-update', '--disable-sync'],
    });
    for (const part of [login, strictly, targets]) {
        await part.call(browser).catch((e) => said[part.name] = String(e));
    }
    await browser.close();
    said.hosts = [...hosts].sort();
    said.policy = policy;
    process.stdout.write(JSON.stringify(said));
})();
