#!/usr/bin/env node
// Runs the demonstration and uses it as a browser would: signs in, calls the
// API, signs out.  Says what happened, step by step; exit status 0 or 1.

import { spawn } from 'node:child_process';
import http from 'node:http';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const BROWSER = { accept: 'text/html,*/*;q=0.8', 'sec-fetch-mode': 'navigate',
    'sec-fetch-dest': 'document' };

const cookies = new Map();
let base;

class Failed extends Error {}

const inWords = (body) => body.replace(/<(style|title)\b.*?<\/\1>/gs, '').replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ').trim().slice(0, 300);

function expect(truth, what, response) {
    if (!truth) {
        throw new Failed(response === undefined ? what
            : `${what}; the answer was ${response.status}: ${inWords(response.body)}`);
    }
}

const done = (text) => console.log(`  ok  ${text}`);

// ---- the demonstration

// Always with the simulator, and with no key that lies about in the
// environment.
function startDemo() {
    const env = Object.fromEntries(Object.entries(process.env)
        .filter(([name]) => !name.startsWith('INTUIT_')));
    const demo = spawn(join(HERE, 'run.sh'), { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';

    return new Promise((resolve, reject) => {
        const hear = (data) => {
            said += data;
            const ready = /ready: +(http:\S+)/.exec(said);
            if (ready) {
                resolve({ demo, base: ready[1].replace(/\/$/, '') });
            }
        };
        demo.stdout.on('data', hear);
        demo.stderr.on('data', hear);
        demo.on('exit', () => reject(new Failed(`the demo did not start: ${said.trim()}`)));
    });
}

function stopDemo(demo) {
    return new Promise((resolve) => {
        demo.removeAllListeners('exit');
        demo.on('exit', (status) => resolve(status));
        demo.kill('SIGTERM');
    });
}

// ---- a small browser

function keepCookies(headers) {
    for (const line of headers['set-cookie'] ?? []) {
        const [pair, ...attributes] = line.split(';');
        const [, name, value] = /^\s*([^=]*)=(.*)$/.exec(pair);
        if (attributes.some((a) => /^\s*max-age=(0|-\d+)\s*$/i.test(a))) {
            cookies.delete(name);
        } else {
            cookies.set(name, value);
        }
    }
}

// One request, no redirect followed.
function ask(method, url, headers = {}, body = '') {
    const { port, pathname, search } = new URL(url, base);
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const options = { method, host: '127.0.0.1', port, path: pathname + search, agent: false,
        timeout: 20000,
        headers: { host: `localhost:${port}`, ...headers, ...(cookie && { cookie }),
            ...(body && { 'content-length': Buffer.byteLength(body),
                'content-type': 'application/x-www-form-urlencoded' }) } };

    return new Promise((resolve, reject) => {
        const request = http.request(options, (response) => {
            const parts = [];
            response.on('data', (part) => parts.push(part));
            response.on('end', () => {
                keepCookies(response.headers);
                resolve({ status: response.statusCode, headers: response.headers,
                    body: Buffer.concat(parts).toString() });
            });
        });
        request.on('timeout', () => request.destroy(new Failed(`${method} ${pathname}: no answer`)));
        request.on('error', reject);
        request.end(body);
    });
}

const unescapeHtml = (text) => text.replace(/&quot;/g, '"').replace(/&#39;/g, "'")
    .replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&');

// What a user does who leaves everything as it is and presses Connect.
function fillIn(page) {
    const form = new URLSearchParams({ decision: 'connect' });
    for (const [tag] of page.matchAll(/<input [^>]*>/g)) {
        const value = (name) => new RegExp(` ${name}="([^"]*)"`).exec(tag)?.[1];
        if (value('type') === 'hidden' || / checked/.test(tag)) {
            form.set(value('name'), unescapeHtml(value('value')));
        }
    }
    return form.toString();
}

// ---- the steps

async function signIn() {
    const first = await ask('GET', '/', BROWSER);
    const location = first.headers.location ?? '';
    expect(first.status === 302 && location.includes('/connect/oauth2?'),
        'a visitor without a session is sent to Intuit', first);
    done('GET / without a session: sent to Intuit to sign in');

    const page = await ask('GET', location, BROWSER);
    expect(page.status === 200 && page.body.includes('<form'), 'Intuit shows its login page', page);
    const action = unescapeHtml(/<form [^>]*action="([^"]*)"/.exec(page.body)[1]);
    const consent = await ask('POST', action, BROWSER, fillIn(page.body));
    const back = consent.headers.location ?? '';
    expect(consent.status === 302 && /\/intuit\/callback\?.*code=/.test(back),
        'Intuit sends the browser back with a code', consent);
    done('consent given at the (simulated) Intuit: sent back with a code');

    const callback = await ask('GET', back, BROWSER);
    expect(/^30[23]$/.test(callback.status) && cookies.size > 0,
        'the callback makes a session', callback);
    done('GET /intuit/callback: code exchanged, session made, sent back to the page');

    const again = await ask('GET', callback.headers.location, BROWSER);
    expect(again.status === 200 && again.body.includes('Back office'), 'the tool opens', again);
    done('GET / with the session: the internal tool');
}

async function useIt() {
    const json = { accept: 'application/json', 'sec-fetch-site': 'same-origin' };

    const session = await ask('GET', '/intuit/session', json);
    const email = /"email":\s*"([^"]*)"/.exec(session.body)?.[1];
    expect(session.status === 200 && email, 'the session says who is signed in', session);
    done(`GET /intuit/session: signed in as ${email}`);

    const api = await ask('GET',
        `/v3/company/-/query?query=${encodeURIComponent('select * from CompanyInfo')}`, json);
    expect(api.status === 200, 'the QuickBooks API answers', api);
    const company = JSON.parse(api.body).QueryResponse?.CompanyInfo?.[0];
    expect(company?.CompanyName, 'the QuickBooks API knows the company', api);
    done(`GET /v3/company/-/query: ${company.CompanyName}, ${company.CompanyAddr.City}`);
}

async function signOut() {
    const out = await ask('POST', '/intuit/logout',
        { ...BROWSER, 'sec-fetch-site': 'same-origin', origin: base });
    expect(/^30[23]$/.test(out.status), 'signing out leads to a page', out);
    const page = await ask('GET', out.headers.location, BROWSER);
    expect(page.status === 200 && page.body.includes('signed out'), 'the page says so', page);

    const after = await ask('GET', '/v3/company/-/query', { accept: 'application/json' });
    expect(after.status === 401, 'the API is closed after that', after);
    done('POST /intuit/logout: signed out, and the API answers 401');
}

let demo;
let status = 0;

try {
    ({ demo, base } = await startDemo());
    console.log(`The demo runs at ${base}/`);
    await signIn();
    await useIt();
    await signOut();
} catch (error) {
    console.log(`  FAILED  ${error instanceof Failed ? error.message : error.stack}`);
    status = 1;
}

if (demo && await stopDemo(demo) !== 0) {
    console.log('  FAILED  the demo did not end cleanly');
    status = 1;
}

console.log(status === 0 ? 'demo-check: all is well' : 'demo-check: FAILED');
process.exit(status);
