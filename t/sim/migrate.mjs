// The endpoint that turns OAuth 1.0a tokens into OAuth 2.0 tokens.  The
// signature (RFC 5849, HMAC-SHA1) is computed here from scratch and compared.

import { createHmac } from 'node:crypto';
import { sameText, tokenAnswer } from './oauth.mjs';

const encode = (s) => encodeURIComponent(s)
    .replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());

function parseHeader(value) {
    const m = /^oauth +(.*)$/is.exec(value ?? '');
    if (!m) {
        return null;
    }
    const found = new Map();
    for (const part of m[1].split(',')) {
        const p = /^\s*([^\s=]+)="([^"]*)"\s*$/.exec(part);
        if (!p) {
            return null;
        }
        const name = decodeURIComponent(p[1]);
        if (found.has(name)) {
            return null;
        }
        found.set(name, decodeURIComponent(p[2]));
    }
    return found;
}

// RFC 5849, 3.4.1: method, URL without query and default port, sorted parameters.
export function baseString(method, url, params) {
    const u = new URL(url);
    const port = u.port ? `:${u.port}` : '';
    const clean = `${u.protocol}//${u.hostname.toLowerCase()}${port}${u.pathname}`;
    const sorted = params.map(([k, v]) => [encode(k), encode(v)])
        .sort((a, b) => (a[0] === b[0] ? (a[1] < b[1] ? -1 : 1) : (a[0] < b[0] ? -1 : 1)))
        .map(([k, v]) => `${k}=${v}`).join('&');
    return `${method.toUpperCase()}&${encode(clean)}&${encode(sorted)}`;
}

export function signature(base, consumerSecret, tokenSecret) {
    return createHmac('sha1', `${encode(consumerSecret)}&${encode(tokenSecret)}`).update(base)
        .digest('base64');
}

const refuse = (status, error, text) => ({ status,
    headers: { 'content-type': 'application/json;charset=UTF-8' },
    json: { error, error_description: text } });

function checkSignature(rq) {
    const { oauth1 } = rq.sim.state;
    const bad = (why) => ({ problem: refuse(401, 'invalid_request', `oauth_problem=${why}`) });
    let p;
    try {
        p = parseHeader(rq.headers.authorization);
    } catch {
        p = null;
    }
    if (!p) {
        return bad('parameter_rejected');
    }
    const known = ['oauth_consumer_key', 'oauth_token', 'oauth_signature_method', 'oauth_timestamp',
        'oauth_nonce', 'oauth_signature'];
    const missing = known.find((k) => !p.get(k));
    if (missing) {
        return bad(`parameter_absent&oauth_parameters_absent=${missing}`);
    }
    if (p.get('oauth_signature_method') !== 'HMAC-SHA1') {
        return bad('signature_method_rejected');
    }
    if (p.has('oauth_version') && p.get('oauth_version') !== '1.0') {
        return bad('version_rejected');
    }
    const secret = oauth1.consumers.get(p.get('oauth_consumer_key'));
    const token = oauth1.tokens.get(p.get('oauth_token'));
    if (secret === undefined) {
        return bad('consumer_key_unknown');
    }
    if (!token) {
        return bad('token_rejected');
    }
    const params = [...p].filter(([k]) => k !== 'oauth_signature' && k !== 'realm');
    const url = `${rq.secure ? 'https' : 'http'}://${rq.host}${rq.path}`;
    const base = baseString(rq.method, url, [...params, ...rq.query]);
    rq.entry.base_string = base;
    if (!sameText(signature(base, secret, token.secret), p.get('oauth_signature'))) {
        return bad('signature_invalid');
    }
    if (!(Math.abs(rq.sim.state.now() - Number(p.get('oauth_timestamp'))) <= 300)) {
        return bad('timestamp_refused');
    }
    const once = `${p.get('oauth_consumer_key')} ${p.get('oauth_timestamp')} ${p.get('oauth_nonce')}`;
    if (oauth1.nonces.has(once)) {
        return bad('nonce_used');
    }
    oauth1.nonces.add(once);
    return { token };
}

export function answerMigrate(rq) {
    const { state } = rq.sim;
    if (rq.method !== 'POST') {
        return { status: 405, headers: { allow: 'POST' }, body: '' };
    }
    const { token, problem } = checkSignature(rq);
    if (problem) {
        return problem;
    }
    let body;
    try {
        body = JSON.parse(rq.body.toString());
    } catch {
        return refuse(400, 'invalid_request', 'the body is not JSON');
    }
    const missing = ['scope', 'redirect_uri', 'client_id', 'client_secret']
        .find((k) => typeof body?.[k] !== 'string' || body[k] === '');
    if (missing) {
        return refuse(400, 'invalid_request', `${missing} is missing`);
    }
    const client = state.clients.get(body.client_id);
    if (!client || !sameText(client.client_secret, body.client_secret)) {
        return refuse(401, 'invalid_client');
    }
    rq.entry.client_id = client.client_id;
    const grant = state.newGrant({ client_id: client.client_id, realm: token.realm, user: token.user,
        scope: body.scope.split(/ +/).filter(Boolean).join(' '), origin: 'migrate' });
    return tokenAnswer(rq, grant, true);
}
