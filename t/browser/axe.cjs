// What t/pages-axe.t does in Chromium: the path of the Node modules and a JSON
// object come in, a JSON object with what was seen goes out.  Each page is
// looked at by axe-core in light and dark, narrow and wide; with "shots" each
// of these is a picture as well.

const { chromium } = require(process.argv[2] + '/playwright-core');
const fs = require('node:fs');
const axe = fs.readFileSync(process.argv[2] + '/axe-core/axe.min.js', 'utf8');
const { base, pages, shots } = JSON.parse(process.argv[3]);
const said = { seen: [], policy: [], hosts: [] };
const hosts = new Set();

const WIDTHS = { narrow: 375, wide: 1100 };

// Ways to a page: each has a context of its own, whose cookies stay.
const ways = {
    stranger: async (page, url) => page.goto(base + url),

    'signed in': async (page, url) => {
        await signIn(page);
        await page.goto(base + url);
    },

    'three times': async (page, url) => {
        for (let i = 0; i < 3; i++) {
            await page.goto(base + url);
        }
    },

    'about to disconnect': async (page, url) => {
        await page.goto(base + url);
        await page.click('summary >> nth=0');
    },

    consent: async (page, url) => {
        await page.goto(base + url);
        await connect(page);
    },

    refusal: async (page, url) => {
        await page.goto(base + url);
        await page.click('button[value="deny"], button:not(.go)');
    },

    elsewhere: async (page, url) => {
        await page.goto(base.replace('localhost', '127.0.0.1') + '/link.html');
        await page.evaluate((to) => {
            document.body.innerHTML = '<a href="' + to + '">a kitten</a>';
        }, base + url);
        await page.click('a');
    },
};

async function connect(page) {
    await page.check('input[value="9130347957983546"]');
    await page.click('button.go');
    await page.waitForURL(base + '/**');
}

async function signIn(page) {
    await page.goto(base + '/intuit/login');
    if (page.url().includes('/oauth2')) {
        await connect(page);
    }
}

// What the keyboard gets at: each control, in the order of the page, and with
// something that shows where one is.
async function keyboard(page) {
    const wanted = await page.evaluate(() =>
        [...document.querySelectorAll('a[href], button, summary, input, [tabindex="0"]')]
            .filter((e) => e.checkVisibility() && e.type !== 'hidden').length);
    const met = [];

    // from the page's beginning, wherever somebody has clicked
    await page.evaluate(() => {
        document.body.tabIndex = -1;
        document.body.focus();
        document.body.removeAttribute('tabindex');
    });

    for (let i = 0; i < wanted; i++) {
        await page.keyboard.press('Tab');
        met.push(await page.evaluate(() => {
            const e = document.activeElement;
            const all = [...document.querySelectorAll('*')];
            const style = getComputedStyle(e);
            return { at: all.indexOf(e), shown: style.outlineStyle !== 'none'
                && parseFloat(style.outlineWidth) >= 1 };
        }));
    }

    return { wanted, met: new Set(met.map((m) => m.at)).size,
        ordered: met.every((m, i) => !i || m.at > met[i - 1].at),
        shown: met.every((m) => m.shown) };
}

// No higher than what is on the page, and than a screen.
async function draw(page, path, width) {
    await page.setViewportSize({ width, height: 100 });
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    await page.setViewportSize({ width, height: Math.min(height, 900) });
    await page.screenshot({ path });
}

async function look(page, name) {
    for (const scheme of ['light', 'dark']) {
        for (const [width, pixels] of Object.entries(WIDTHS)) {
            await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
            await page.setViewportSize({ width: pixels, height: 700 });
            await page.evaluate(() => document.activeElement?.blur());

            await page.evaluate(axe);
            const result = await page.evaluate(() => axe.run(document,
                { resultTypes: ['violations', 'incomplete'] }));

            said.seen.push({ name, scheme, width,
                passes: result.passes.length,
                contrast: result.passes.some((r) => r.id === 'color-contrast'),
                undecided: result.incomplete.filter((r) => r.id === 'color-contrast')
                    .flatMap((r) => r.nodes.map((n) => n.target.join(' '))),
                violations: result.violations.map((r) => `${r.id}: `
                    + r.nodes.map((n) => n.target.join(' ')).join(', ')),
                overflow: await page.evaluate(() =>
                    document.documentElement.scrollWidth > window.innerWidth) });

            if (shots) {
                await draw(page, `${shots}/${name}-${scheme}-${width}.png`, pixels);
            }
        }
    }
}

async function visit(browser, { name, url, way, title }) {
    const context = await browser.newContext();
    context.setDefaultTimeout(300000);      // a slow machine is no failure
    const page = await context.newPage();

    context.on('request', (r) => hosts.add(new URL(r.url()).hostname));
    page.on('console', (m) => {
        if (/Content Security Policy/.test(m.text())) {
            said.policy.push(`${name}: ${m.text()}`);
        }
    });

    await ways[way](page, url);
    await page.waitForFunction((wanted) => document.title.includes(wanted), title);
    await look(page, name);
    said[name] = { title: await page.title(),
        lang: await page.evaluate(() => document.documentElement.lang),
        main: await page.locator('main').count(),
        h1: await page.locator('h1').count(),
        keys: await keyboard(page) };
    await context.close();
}

(async () => {
    const browser = await chromium.launch({
        executablePath: '/usr/bin/chromium',
        args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic',
            '--no-first-run', '--disable-background-networking',
            '--disable-component-update', '--disable-sync',
            '--font-render-hinting=none'],
    });

    for (const page of pages) {
        await visit(browser, page).catch((e) => {
            said[page.name] = { error: String(e) };
        });
    }

    await browser.close();
    said.hosts = [...hosts];
    console.log(JSON.stringify(said));
})();
