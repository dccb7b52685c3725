// A second identity provider, not ours: npm's oidc-provider (OpenID certified)
// on the loopback interface, with one account and one confidential client.
// Nobody is asked anything: who comes is "ada", and she consents.
//
// Options: --client-id, --client-secret, --redirect-uri, --pkce (required).
// The first line of output is { port, base }.  Ends with its standard input.
//
//     GET  /control/journal    requests, oldest first: [{ method, path, query,
//                              form, authorization, answer or error (of
//                              /token), status (of the API) }]
//     POST /control/rotate     another signing key, with another kid
//     POST /control/forge      { id_token: FORGERY }: for the next token answer
//     POST /control/hold       requests to /token wait, until
//     POST /control/release    { lose: true }: and their answers are lost
//
// The scope that opens QuickBooks brings a refresh token, which is rotated with
// each use; one that comes twice ends the whole grant (RFC 9700, section 4.14.2).
// /v3/company/REALM/companyinfo/REALM stands in for the API: it is open to the
// provider's own access tokens, and so is the proof of a company.

import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { parseArgs } from 'node:util';
import Provider from 'oidc-provider';

const ACCOUNT = {
    sub: 'ada', email: 'ada@example.org', email_verified: true, name: 'Ada Lovelace',
};

// standard output is for the first line alone
console.log = console.info = console.error;

const ACCOUNTING = 'com.intuit.quickbooks.accounting';

const text = { type: 'string' };
const { values: options } = parseArgs({ options: {
    'client-id': text, 'client-secret': text, 'redirect-uri': text, pkce: { type: 'boolean' },
} });

function newKey(kid) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' };
}


// -- the provider ------------------------------------------------------------

function configuration(key) {
    return {
        jwks: { keys: [key] },
        clients: [{
            client_id: options['client-id'], client_secret: options['client-secret'],
            redirect_uris: [options['redirect-uri']], response_types: ['code'],
            grant_types: ['authorization_code', 'refresh_token'],
            token_endpoint_auth_method: 'client_secret_basic',
        }],
        scopes: ['openid', 'email', 'profile', ACCOUNTING],
        issueRefreshToken: (ctx, client, code) => code.scopes.has(ACCOUNTING),
        rotateRefreshToken: true,
        expiresWithSession: () => false,
        claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
        cookies: { keys: ['only-for-tests'] },
        pkce: { required: () => options.pkce === true },
        features: { devInteractions: { enabled: false } },
        interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
        findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ ...ACCOUNT, sub: id }) }),
        loadExistingGrant,
    };
}

// consent without a page
async function loadExistingGrant(ctx) {
    const { client, session, provider } = ctx.oidc;
    const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope(`openid email profile ${ACCOUNTING}`);
    await grant.save();
    return grant;
}

async function interaction(provider, req, res) {
    await provider.interactionFinished(req, res, { login: { accountId: ACCOUNT.sub } });
}

let signing = newKey('first');
let provider;

function publish(key) {
    signing = key;
    provider = new Provider(base, configuration(key));
}


// -- forged id_tokens --------------------------------------------------------

const part = (data) => Buffer.from(JSON.stringify(data)).toString('base64url');

function signed(header, claims, key = signing) {
    const input = `${part(header)}.${part(claims)}`;
    const signature = sign('sha256', Buffer.from(input), createPrivateKey({ key, format: 'jwk' }));
    return `${input}.${signature.toString('base64url')}`;
}

const FORGERIES = {
    // nothing is wrong with it: shows that the others are refused for their one fault
    'signed again': (t) => signed(t.header, t.claims),
    'of an earlier login': () => earlier,
    'another nonce': (t) => signed(t.header, { ...t.claims, nonce: `${t.claims.nonce}x` }),
    'no nonce': (t) => signed(t.header, { ...t.claims, nonce: undefined }),
    'another issuer': (t) => signed(t.header, { ...t.claims, iss: `${t.claims.iss}/` }),
    'another audience': (t) => signed(t.header, { ...t.claims, aud: 'somebody-else' }),
    'of another access token': (t) => signed(t.header, { ...t.claims, at_hash: 'A'.repeat(22) }),
    'an unpublished key': (t) => signed(t.header, t.claims, newKey('unpublished')),
    'an unpublished key under an unknown kid': (t) => signed({ ...t.header, kid: 'unpublished' }, t.claims,
        newKey('unpublished')),
};

let forgery = null;
let earlier = null;

function tokenAnswer(body) {
    const answer = JSON.parse(body);
    if (!answer.id_token) {
        return body;
    }
    const [header, claims] = answer.id_token.split('.').slice(0, 2)
        .map((p) => JSON.parse(Buffer.from(p, 'base64url')));
    const own = answer.id_token;
    if (forgery) {
        answer.id_token = forgery({ header, claims });
        forgery = null;
    }
    earlier = own;
    return JSON.stringify(answer);
}


// -- the API -----------------------------------------------------------------

async function api(req, res, path) {
    const authorization = req.headers.authorization ?? '';
    const token = await provider.AccessToken.find(authorization.replace(/^Bearer /, ''));
    const status = token?.scopes.has(ACCOUNTING) ? 200 : 401;
    journal.push({ method: req.method, path, query: {}, form: {}, authorization, status });
    json(res, status, status === 200 ? { CompanyInfo: { CompanyName: 'Ada & Co', Id: '1' } }
        : { Fault: { type: 'AUTHENTICATION' } });
}


// -- in front of it: a journal, and what happens to a token answer -----------

const journal = [];
let held = null;

async function read(stream) {
    const chunks = [];
    for await (const chunk of stream) {
        chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString();
}

function json(res, status, data) {
    res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(data));
}

async function control(req, res, path) {
    const body = await read(req);
    if (path === '/control/journal') {
        return json(res, 200, journal);
    }
    if (path === '/control/rotate') {
        publish(newKey('second'));
        return json(res, 200, {});
    }
    if (path === '/control/forge') {
        forgery = FORGERIES[JSON.parse(body).id_token] ?? null;
        return json(res, forgery ? 200 : 400, {});
    }
    if (path === '/control/hold') {
        held = {};
        held.over = new Promise((go) => { held.go = go; });
        return json(res, 200, {});
    }
    if (path === '/control/release') {
        held.go(JSON.parse(body));
        held = null;
        return json(res, 200, {});
    }
    return json(res, 404, {});
}

// What comes to the front port goes on to the provider's own, unchanged.
async function forward(req, res, url) {
    const body = await read(req);
    const entry = { method: req.method, path: url.pathname, query: Object.fromEntries(url.searchParams),
        form: Object.fromEntries(new URLSearchParams(body)), authorization: req.headers.authorization ?? '' };
    journal.push(entry);

    const fate = url.pathname === '/token' && held ? await held.over : {};

    const out = request({ host: '127.0.0.1', port: back.address().port, method: req.method,
        path: req.url, headers: { ...req.headers, connection: 'close' } });
    out.end(body);
    const [answer] = await once(out, 'response');

    let content = await read(answer);
    const headers = { ...answer.headers };
    if (url.pathname === '/token' && answer.statusCode === 200) {
        content = tokenAnswer(content);
        entry.answer = JSON.parse(content);
    } else if (url.pathname === '/token') {
        entry.error = JSON.parse(content).error;
    }
    if (fate.lose) {
        res.destroy();
        return;
    }
    delete headers['transfer-encoding'];
    res.writeHead(answer.statusCode, { ...headers, 'content-length': Buffer.byteLength(content) }).end(content);
}

function listener(handle) {
    return createServer((req, res) => {
        Promise.resolve().then(() => handle(req, res)).catch((err) => {
            process.stderr.write(`${err.stack}\n`);
            res.destroy();
        });
    });
}

const back = listener((req, res) => (req.url.startsWith('/interaction/')
    ? interaction(provider, req, res) : provider.callback()(req, res)));

const front = listener((req, res) => {
    const url = new URL(req.url, base);
    if (url.pathname.startsWith('/control/')) {
        return control(req, res, url.pathname);
    }
    return url.pathname.startsWith('/v3/') ? api(req, res, url.pathname) : forward(req, res, url);
});

for (const server of [back, front]) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
}

const base = `http://127.0.0.1:${front.address().port}`;

process.stdin.on('end', () => process.exit(0)).resume();

publish(signing);
process.stdout.write(`${JSON.stringify({ port: front.address().port, base })}\n`);
