// OAuth 2.0 side: authorization endpoint, token endpoint, revocation.

import { timingSafeEqual, createHash } from 'node:crypto';
import { hasCompanyScope, hasScope, s256, COMPANIES, USERS } from './state.mjs';
import { idToken } from './oidc.mjs';
import { loginPage, errorPage } from './pages.mjs';

const JSON_TYPE = 'application/json;charset=UTF-8';

const digest = (s) => createHash('sha256').update(s).digest();
export const sameText = (a, b) => timingSafeEqual(digest(String(a)), digest(String(b)));

// ---- authorization endpoint

const SINGLE = ['client_id', 'response_type', 'redirect_uri', 'scope', 'state', 'nonce',
    'code_challenge', 'code_challenge_method', 'claims', 'prompt', 'login_hint'];

function usableRedirect(client, uri) {
    if (client.redirect_uris.length) {
        return client.redirect_uris.includes(uri);
    }
    try {
        const u = new URL(uri);
        return (u.protocol === 'http:' || u.protocol === 'https:') && !uri.includes('#');
    } catch {
        return false;
    }
}

export function withQuery(uri, members) {
    const q = new URLSearchParams(members.filter(([, v]) => v !== undefined && v !== null));
    return uri + (uri.includes('?') ? '&' : '?') + q.toString();
}

// The answer is one of {page}, {location} or {request}.
export function checkAuthorize(sim, query) {
    const get = (name) => query.get(name) ?? undefined;
    const client = sim.state.clients.get(get('client_id') ?? '');
    const uri = get('redirect_uri') ?? '';
    for (const name of SINGLE) {
        if (query.getAll(name).length > 1) {
            return { page: { title: 'The request has a parameter twice', what: name } };
        }
    }
    if (!client) {
        return { page: { title: 'The client_id is not known', what: get('client_id') ?? '(none)' } };
    }
    if (!usableRedirect(client, uri)) {
        return { page: { title: 'The redirect_uri is not registered for this app',
            what: uri || '(none)' } };
    }
    const fail = (error, error_description) => ({
        location: withQuery(uri, [['error', error], ['error_description', error_description],
            ['state', get('state')]]),
    });
    if (get('response_type') !== 'code') {
        return fail(get('response_type') ? 'unsupported_response_type' : 'invalid_request',
            'response_type must be code');
    }
    const scope = (get('scope') ?? '').split(/ +/).filter(Boolean).join(' ');
    if (!scope) {
        return fail('invalid_scope', 'no scope given');
    }
    if (get('code_challenge') !== undefined && get('code_challenge_method') !== 'S256') {
        return fail('invalid_request', 'code_challenge_method must be S256');
    }
    return { request: { client_id: client.client_id, redirect_uri: uri, scope, state: get('state'),
        nonce: get('nonce'), challenge: get('code_challenge'), company: hasCompanyScope(scope) } };
}

export function decide(sim, request, { user, realm, deny }) {
    if (deny) {
        return withQuery(request.redirect_uri, [['error', 'access_denied'], ['state', request.state]]);
    }
    const code = sim.state.newCode({
        ...request, user: user ?? USERS[0].email,
        realm: request.company ? realm ?? COMPANIES[0].realm : null,
    });
    const members = [['code', code], ['state', request.state]];
    if (request.company) {
        members.push(['realmId', sim.state.codes.get(code).realm]);
    }
    return withQuery(request.redirect_uri, members);
}

export function answerAuthorize(rq) {
    const form = rq.method === 'POST' ? new URLSearchParams(rq.body.toString()) : null;
    if (!form && rq.method !== 'GET' && rq.method !== 'HEAD') {
        return { status: 405, headers: { allow: 'GET, HEAD, POST' }, body: '' };
    }
    const query = form ? new URLSearchParams(form.get('request') ?? '') : rq.query;
    const found = checkAuthorize(rq.sim, query);
    if (found.page) {
        return errorPage(400, found.page.title, found.page.what);
    }
    if (found.location) {
        return { status: 302, headers: { location: found.location }, body: '' };
    }
    if (!form) {
        return loginPage(rq.sim, found.request, query.toString());
    }
    const location = decide(rq.sim, found.request, {
        user: form.get('user') ?? undefined, realm: form.get('realm') ?? undefined,
        deny: form.get('decision') !== 'connect' });
    return { status: 302, headers: { location, 'cache-control': 'no-store' }, body: '' };
}

// ---- client authentication

const failure = (status, error, error_description) => ({
    status, headers: { 'content-type': JSON_TYPE, 'cache-control': 'no-cache, no-store' },
    json: error_description ? { error, error_description } : { error },
});

const INVALID_CLIENT = () => failure(401, 'invalid_client');

// Basic carries the raw id and secret, as Intuit's own libraries send them.
function authenticate(rq, form) {
    const { clients } = rq.sim.state;
    const basic = /^basic +([A-Za-z0-9+/=_-]+)$/i.exec(rq.headers.authorization ?? '');
    let id;
    let secret;
    if (basic) {
        const text = Buffer.from(basic[1], 'base64').toString();
        const colon = text.indexOf(':');
        id = colon < 0 ? text : text.slice(0, colon);
        secret = colon < 0 ? '' : text.slice(colon + 1);
        if (form.has('client_secret')) {
            return { problem: failure(400, 'invalid_request', 'two client authentications') };
        }
    } else if (rq.headers.authorization) {
        return { problem: INVALID_CLIENT() };
    } else {
        id = form.get('client_id') ?? '';
        secret = form.get('client_secret') ?? '';
    }
    rq.entry.client_id = id;
    const client = clients.get(id);
    if (!client || !sameText(client.client_secret, secret)) {
        return { problem: INVALID_CLIENT() };
    }
    return { client };
}

// ---- token endpoint

export function tokenForm(rq) {
    rq.form ??= new URLSearchParams(rq.body.toString());
    return rq.form;
}

// Marks a refresh as under way from the moment its request has arrived, so
// that two at once are seen as such even while one of them is parked.
export function arriveToken(rq) {
    const form = tokenForm(rq);
    rq.entry.grant_type = form.get('grant_type');
    const grant = rq.sim.state.byRefresh.get(form.get('refresh_token') ?? '');
    if (rq.entry.grant_type !== 'refresh_token' || !grant) {
        return undefined;
    }
    rq.second = grant.inflight > 0;
    grant.inflight++;
    rq.entry.realm = grant.realm;
    return () => grant.inflight--;
}

function tokenAnswer(rq, grant, withRealm) {
    const { sim } = rq;
    const { state } = sim;
    if (rq.action.rotate) {
        grant.rotate_next = true;
    }
    const pair = state.issuePair(grant);
    const now = pair.issued;
    const json = {
        token_type: 'bearer',
        access_token: pair.access.value,
        expires_in: pair.access.expires - now,
        refresh_token: pair.refresh,
        x_refresh_token_expires_in: grant.refresh_expires - now,
    };
    if (rq.headers['x-include-refresh-token-hard-expires-in'] === 'true') {
        json.x_refresh_token_hard_expires_in = grant.consented + Number(state.config.hard_ttl) - now;
    }
    if (hasScope(grant.scope, 'openid')) {
        json.id_token = idToken(sim, grant, rq.action.id_token, pair.kind !== 'refresh');
    }
    if (withRealm) {
        json.realmId = grant.realm;
    }
    rq.entry.realm = grant.realm;
    return { status: 200, json, headers: {
        'content-type': JSON_TYPE, 'cache-control': 'no-cache, no-store', pragma: 'no-cache',
        'strict-transport-security': 'max-age=15552000' } };
}

export { tokenAnswer };

function exchangeCode(rq, client, form) {
    const { state } = rq.sim;
    const code = state.codes.get(form.get('code') ?? '');
    const invalid = (text = 'Invalid authorization code') => failure(400, 'invalid_grant', text);
    if (!code || code.client_id !== client.client_id) {
        return invalid();
    }
    if (code.used) {
        if (code.grant) {
            state.revoke(code.grant, 'grant');
        }
        return invalid();
    }
    if (code.issued + Number(state.config.code_ttl) <= state.now()
        || form.get('redirect_uri') !== code.redirect_uri) {
        return invalid();
    }
    if (code.challenge !== undefined && s256(form.get('code_verifier') ?? '') !== code.challenge) {
        return invalid('Invalid code verifier');
    }
    code.used = true;
    code.grant = state.newGrant({ ...code, origin: 'code' });
    return tokenAnswer(rq, code.grant);
}

function refresh(rq, client, form) {
    const { state } = rq.sim;
    const value = form.get('refresh_token') ?? '';
    const invalid = (text = 'Incorrect or invalid refresh token') =>
        failure(400, 'invalid_grant', text);
    const grant = state.byRefresh.get(value);
    if (state.byAccess.has(value) || (grant && grant.client_id !== client.client_id)) {
        return invalid('Incorrect Token type or clientID');
    }
    const found = state.refreshState(value);
    if (found === 'replaced' && state.config.stale === 'revoke-chain') {
        state.revoke(grant, 'grant');
    }
    if (found !== 'current') {
        return invalid();
    }
    if (rq.second && state.config.concurrent !== 'allow') {
        if (state.config.concurrent === 'revoke') {
            state.revoke(grant, 'grant');
        }
        return invalid();
    }
    return tokenAnswer(rq, grant);
}

export function answerToken(rq) {
    if (rq.method !== 'POST') {
        return { status: 405, headers: { allow: 'POST' }, body: '' };
    }
    const form = tokenForm(rq);
    for (const name of new Set(form.keys())) {
        if (form.getAll(name).length > 1) {
            return failure(400, 'invalid_request', 'parameter given twice');
        }
    }
    const type = (rq.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
    if (type !== 'application/x-www-form-urlencoded') {
        return failure(400, 'invalid_request', 'Content-Type must be form-urlencoded');
    }
    const { client, problem } = authenticate(rq, form);
    if (problem) {
        return problem;
    }
    switch (form.get('grant_type')) {
    case 'authorization_code':
        return exchangeCode(rq, client, form);
    case 'refresh_token':
        return refresh(rq, client, form);
    case null:
        return failure(400, 'invalid_request', 'grant_type is missing');
    default:
        return failure(400, 'unsupported_grant_type');
    }
}

// ---- revocation

function revocationToken(rq) {
    const text = rq.body.toString();
    if (/^\s*\{/.test(text)) {
        try {
            return { form: new URLSearchParams(), token: JSON.parse(text).token };
        } catch {
            return { form: new URLSearchParams() };
        }
    }
    const form = new URLSearchParams(text);
    return { form, token: form.get('token') };
}

export function answerRevoke(rq) {
    if (rq.method !== 'POST') {
        return { status: 405, headers: { allow: 'POST' }, body: '' };
    }
    const { state } = rq.sim;
    const { form, token } = revocationToken(rq);
    const { client, problem } = authenticate(rq, form);
    if (problem) {
        return problem;
    }
    const grant = state.byRefresh.get(token) ?? state.byAccess.get(token)?.grant;
    const dead = !grant || grant.revoked || grant.client_id !== client.client_id
        || state.refreshState(token) === 'replaced';
    if (dead) {
        return { status: 400, headers: {}, body: '' };
    }
    rq.entry.realm = grant.realm;
    state.revoke(grant);
    return { status: 200, headers: {}, body: '' };
}
