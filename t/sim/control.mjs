// The control port: what tests use to look at the simulator and to steer it.

import http from 'node:http';
import { checkAuthorize, decide } from './oauth.mjs';
import { idToken } from './oidc.mjs';
import { Listener, record } from './server.mjs';
import { VARIANTS } from './tls.mjs';

class Refusal extends Error {
    constructor(status, message) {
        super(message);
        this.status = status;
    }
}

function selected(sim, q) {
    const since = Number(q.get('since') ?? 0);
    return sim.state.journal.filter((e) => e.n > since
        && ['kind', 'method', 'path', 'realm', 'grant_type', 'listener', 'status'].every((k) =>
            !q.has(k) || String(e[k]) === q.get(k)));
}

// Answers once enough requests of a sort have come, or 504.
function awaitJournal({ sim, q }) {
    const count = Number(q.get('count') ?? 1);
    const ready = () => selected(sim, q).filter((e) => !q.has('answered') || e.answered);
    return new Promise((resolve, reject) => {
        const look = () => {
            const found = ready();
            if (found.length >= count) {
                stop();
                resolve(found);
            }
        };
        const stop = () => {
            clearTimeout(limit);
            clearInterval(tick);
            sim.events.off('journal', look);
        };
        const limit = setTimeout(() => {
            stop();
            reject(new Refusal(504, `only ${ready().length} of ${count} came`));
        }, Number(q.get('timeout_ms') ?? 60000));
        const tick = setInterval(look, 20);
        sim.events.on('journal', look);
        look();
    });
}

function headlessLogin({ sim, body, text }) {
    const given = body && typeof body === 'object' ? body : { url: text.trim().replace(/^"|"$/g, '') };
    const url = String(given.url ?? '');
    const query = new URLSearchParams(url.slice(url.indexOf('?') + 1).replace(/#.*$/, ''));
    const entry = record(sim, { kind: 'authorize', via: 'control', method: 'GET', host: null,
        path: '/connect/oauth2', target: url, query: Object.fromEntries([...query].reverse()),
        query_list: [...query], raw_headers: [], headers: {}, body: '', complete: true, tls: null,
        connection: null, listener: 'control', aborted: false, answered: new Date().toISOString() });
    const found = checkAuthorize(sim, query);
    if (found.page) {
        entry.status = 400;
        throw new Refusal(400, `${found.page.title}: ${found.page.what}`);
    }
    entry.status = 302;
    return { location: found.location ?? decide(sim, found.request, given) };
}

function grantFrom(sim, { client_id, realm, scope, user, rotate_next }) {
    const grant = sim.state.newGrant({
        client_id: client_id ?? sim.state.clients.keys().next().value, user: user ?? 'ada@example.com',
        realm: realm === undefined ? '9130347957983546' : realm, origin: 'issue',
        scope: scope ?? 'openid profile email com.intuit.quickbooks.accounting' });
    grant.rotate_next = Boolean(rotate_next);
    return grant;
}

function issue({ sim, body }) {
    const grant = grantFrom(sim, body ?? {});
    const pair = sim.state.issuePair(grant);
    grant.rotate_next = Boolean(body?.rotate_next);
    const described = sim.state.describePair(pair);
    if (grant.scope.split(' ').includes('openid')) {
        described.id_token = idToken(sim, grant, body?.id_token);
    }
    return { ...described, expires_in: described.access_expires - described.issued };
}

const picked = (sim, body) => sim.state.grants.filter((g) => !g.revoked
    && (!body?.realm || g.realm === body.realm) && (!body?.client_id || g.client_id === body.client_id));

function revokeAll({ sim, body }) {
    const grants = picked(sim, body);
    grants.forEach((g) => { g.revoked = true; });
    return { revoked: grants.length };
}

function rotateRefresh({ sim, body }) {
    const grants = picked(sim, body);
    grants.forEach((g) => { g.rotate_next = true; });
    return { marked: grants.length };
}

function expireRefresh({ sim, body }) {
    const grants = picked(sim, body);
    grants.forEach((g) => { g.refresh_expires = sim.state.now() - 1; });
    return { expired: grants.length };
}

function configure({ sim, body }) {
    const { config } = sim.state;
    const odd = Object.keys(body ?? {}).find((k) => !(k in config));
    if (odd !== undefined) {
        throw new Refusal(400, `no such setting: ${odd}`);
    }
    return Object.assign(config, body);
}

function addClient({ sim, body }) {
    if (!body?.client_id || !body.client_secret) {
        throw new Refusal(400, 'client_id and client_secret are needed');
    }
    sim.state.clients.set(body.client_id, { client_id: body.client_id,
        client_secret: body.client_secret, redirect_uris: [body.redirect_uris ?? []].flat() });
    return { clients: sim.state.clients.size };
}

function addOauth1({ sim, body }) {
    const { consumers, tokens } = sim.state.oauth1;
    if (body?.consumer_key) {
        consumers.set(body.consumer_key, body.consumer_secret ?? '');
    }
    if (body?.token) {
        tokens.set(body.token, { secret: body.token_secret ?? '', user: body.user ?? 'ada@example.com',
            realm: body.realm ?? '9130347957983546' });
    }
    return { consumers: consumers.size, tokens: tokens.size };
}

async function reset({ sim, body }) {
    const only = body?.only;
    const want = (what) => !only || only.includes(what);
    sim.state.reset(only);
    if (want('scripts')) {
        sim.script.clear();
        sim.barriers.reset();
    }
    if (want('keys')) {
        sim.keys.reset();
    }
    if (want('listeners')) {
        await Promise.all(sim.extra.splice(0).map((l) => l.down()));
        if (!sim.main.server.listening) {
            await sim.main.up();
        }
        if (sim.main.secure && sim.main.variant !== 'good') {
            sim.main.useVariant('good');
        }
        sim.counts.tls_errors = [];
    }
    return { ok: true };
}

const needDir = (sim) => {
    if (!sim.dir) {
        throw new Refusal(400, 'started without --dir: no certificates');
    }
};

// Another listener: {"cert": "expired"} for TLS, {"behave": "rst"} for trouble
// below HTTP, nothing for plain http.  {"address": "127.0.0.2", "port": n} is
// another address of a port that is there already.
async function listen({ sim, body }) {
    const { cert, behave, text, port, address = '127.0.0.1' } = body ?? {};
    if (!/^127(\.\d{1,3}){3}$/.test(address)) {
        throw new Refusal(400, 'only on the loopback interface');
    }
    if (cert !== undefined) {
        needDir(sim);
        if (!(cert in VARIANTS)) {
            throw new Refusal(400, `variants: ${Object.keys(VARIANTS).join(' ')}`);
        }
    }
    const name = `extra-${sim.extra.length + 1}`;
    const listener = new Listener(sim, name, { secure: cert !== undefined, variant: cert,
        behave, text, address });
    await listener.up(Number(port ?? 0));
    sim.extra.push(listener);
    return { name, port: listener.port,
        base: `http${cert === undefined ? '' : 's'}://${address}:${listener.port}` };
}

function switchCertificate({ sim, body }) {
    needDir(sim);
    if (!sim.main.secure || !(body?.cert in VARIANTS)) {
        throw new Refusal(400, `needs --tls and one of: ${Object.keys(VARIANTS).join(' ')}`);
    }
    sim.main.useVariant(body.cert);
    return { cert: body.cert };
}

async function barrierWait({ sim, q, name }) {
    const n = await sim.barriers.wait(name, Number(q.get('count') ?? 1),
        Number(q.get('timeout_ms') ?? 60000));
    if (n === null) {
        throw new Refusal(504, `only ${sim.barriers.get(name).parked.length} parked`);
    }
    return { parked: n };
}

function addScript({ sim, body }) {
    try {
        return { scripts: sim.script.add(body ?? []) };
    } catch (err) {
        throw new Refusal(400, err.message);
    }
}

const ROUTES = {
    'GET /journal': ({ sim, q }) => selected(sim, q),
    'GET /journal/wait': awaitJournal,
    'GET /count': ({ sim, q }) => ({ count: selected(sim, q).length }),
    'GET /state': ({ sim }) => ({ ...sim.state.summary(), base: sim.base, public_base: sim.publicBase,
        issuer: sim.issuer, keys: sim.keys.describe(), barriers: sim.barriers.describe(),
        ...sim.counts, listeners: [sim.main, ...sim.extra].map((l) => ({ name: l.name, port: l.port,
            variant: l.secure ? l.variant : null, up: l.server.listening })) }),
    'GET /tokens': ({ sim }) => sim.state.pairs.map((p) => sim.state.describePair(p)),
    'GET /script': ({ sim }) => sim.script.rules,
    'GET /config': ({ sim }) => sim.state.config,
    'POST /reset': reset,
    'POST /script': addScript,
    'DELETE /script': ({ sim }) => sim.script.clear() ?? { ok: true },
    'POST /config': configure,
    'POST /client': addClient,
    'POST /oauth1': addOauth1,
    'POST /authorize': headlessLogin,
    'POST /issue': issue,
    'POST /revoke-all': revokeAll,
    'POST /expire-access': ({ sim, body }) => ({ expired: sim.state.expireAccess(body?.realm) }),
    'POST /expire-refresh': expireRefresh,
    'POST /rotate-refresh': rotateRefresh,
    'POST /rotate-keys': ({ sim, body }) => sim.keys.rotate(Boolean(body?.drop_old)),
    'POST /listen': listen,
    'POST /cert': switchCertificate,
    'POST /down': ({ sim }) => sim.main.down().then(() => ({ up: false })),
    'POST /up': async ({ sim }) => {
        if (!sim.main.server.listening) {
            await sim.main.up();
        }
        return { up: true };
    },
};

function route(method, path) {
    const barrier = /^\/barrier\/([^/]+)\/(release|wait)$/.exec(path);
    if (barrier) {
        const name = decodeURIComponent(barrier[1]);
        return barrier[2] === 'wait' ? (c) => barrierWait({ ...c, name })
            : ({ sim, body }) => ({ released: sim.barriers.release(name, body ?? {}) });
    }
    return ROUTES[`${method} ${path}`];
}

async function answer(sim, req) {
    // A web page open in some browser of this machine has no business here.
    if (req.headers.origin || !/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(req.headers.host ?? '')) {
        throw new Refusal(403, 'not for browsers');
    }
    const parts = [];
    for await (const part of req) {
        parts.push(part);
    }
    const text = Buffer.concat(parts).toString();
    let body = null;
    if (/^\s*[[{]/.test(text)) {
        try {
            body = JSON.parse(text);
        } catch {
            throw new Refusal(400, 'the body is not JSON');
        }
    }
    const u = new URL(req.url, 'http://control');
    const run = route(req.method, u.pathname);
    if (!run) {
        throw new Refusal(404, `no ${req.method} ${u.pathname}`);
    }
    return run({ sim, body, text, q: u.searchParams });
}

export async function startControl(sim, port) {
    const server = http.createServer((req, res) => {
        const finish = (status, value) => {
            res.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store',
                'x-content-type-options': 'nosniff' });
            res.end(`${JSON.stringify(value)}\n`);
        };
        answer(sim, req).then((value) => finish(200, value ?? {}), (err) => {
            if (!(err instanceof Refusal)) {
                process.stderr.write(`sim: control: ${err.stack}\n`);
            }
            finish(err instanceof Refusal ? err.status : 500, { error: err.message });
        });
    });
    server.requestTimeout = 0;
    await new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, '127.0.0.1', resolve);
    });
    return server.address().port;
}
