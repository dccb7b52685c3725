// What the simulated Intuit remembers: settings, clients, codes, grants and
// tokens, the journal.  Nothing here touches a socket.

import { randomBytes, createHash } from 'node:crypto';

export const USERS = [
    { email: 'ada@example.com', sub: '6c2d1e50-4a0f-4e8f-9d52-0c9a9b1f7a01', givenName: 'Ada',
        familyName: 'Lovelace', emailVerified: true, phoneNumber: '+1 555 0100', locality: 'London' },
    { email: 'bob@example.com', sub: '0b6b3f0e-8f0c-4a34-8f6e-3a1e2b7c9d02', givenName: 'Bob',
        familyName: 'Baker', emailVerified: true, phoneNumber: '+1 555 0101', locality: 'Boston' },
    { email: 'carol@example.com', sub: 'b1f4a7c2-2d39-45c1-a6d0-6d7e8f9a0b03', givenName: 'Carol',
        familyName: 'Çelik', emailVerified: false, phoneNumber: '+1 555 0102', locality: 'Izmir' },
    { email: 'mallory@evil.example', sub: 'e3a90d14-77c5-4b0e-8c1a-5f2b3c4d5e04', givenName: 'Mallory',
        familyName: 'Moss', emailVerified: true, phoneNumber: '+1 555 0199', locality: 'Nowhere' },
];

export const COMPANIES = [
    { realm: '9130347957983546', name: 'Harbour Lane Bakery', city: 'Portland', kind: 'Bakery and café' },
    { realm: '4620816365041297150', name: "O'Brien & Sons <Joinery>", city: 'Galway', kind: 'Carpentry' },
    { realm: '193514292156789', name: 'Tidewater Cycles', city: 'Norfolk', kind: 'Bicycle shop' },
];

const OPENID_SCOPES = new Set(['openid', 'profile', 'email', 'phone', 'address', 'intuit_name']);

export const hasCompanyScope = (scope) => scope.split(' ').some((s) => s && !OPENID_SCOPES.has(s));
export const hasScope = (scope, name) => scope.split(' ').includes(name);

const DEFAULTS = {
    access_ttl: 3600,           // seconds
    access_bytes: 604,          // random bytes in an access token: about as long as Intuit's
    refresh_ttl: 8726400,       // 101 days, from the last change of the value
    hard_ttl: 157680000,        // five years from consent
    code_ttl: 600,
    rotate_after: 86400,        // a refresh token value is re-issued until it is this old
    stale: 'reject',            // a replaced refresh token: 'reject', or 'revoke-chain'
    concurrent: 'reject',       // two refreshes at once: 'reject' the second, 'revoke', 'allow'
    revoke_scope: 'company',    // revoking ends 'company' (all pairs of it) or this 'grant'
    nonce: 'none',              // 'echo' puts the request's nonce into the id_token
    id_token_realmid: true,
    latency_ms: 0,
    clock_offset: 0,            // seconds added to the simulator's clock
    quota: false,               // enforce 500/min, 10/s and 40 batches/min
};

const ALNUM = 'abcdefghijklmnopqrstuvwxyz0123456789';

export function randomText(length, alphabet = ALNUM) {
    let out = '';
    for (const b of randomBytes(length)) {
        out += alphabet[b % alphabet.length];
    }
    return out;
}

export class State {
    constructor(settings, clients) {
        this.initial = { ...DEFAULTS, ...settings };
        this.initialClients = clients;
        this.journal = [];
        this.serial = 0;
        this.reset();
    }

    reset(only) {
        const want = (what) => !only || only.includes(what);
        if (want('journal')) {
            this.journal = [];
        }
        if (want('config')) {
            this.config = { ...this.initial };
        }
        if (want('clients')) {
            this.clients = new Map(this.initialClients.map((c) => [c.client_id, { ...c }]));
            this.oauth1 = {
                consumers: new Map([['sim-consumer-key', 'sim-consumer-secret']]),
                tokens: new Map([['sim-oauth1-token',
                    { secret: 'sim-oauth1-secret', realm: COMPANIES[0].realm, user: USERS[0].email }]]),
                nonces: new Set(),
            };
        }
        if (want('tokens')) {
            this.codes = new Map();
            this.grants = [];
            this.byAccess = new Map();
            this.byRefresh = new Map();
            this.pairs = [];
        }
        if (want('data')) {
            this.entities = new Map();
            this.requestIds = new Map();
            this.executions = {};
            this.quotaHits = [];
        }
    }

    now() {
        return Math.floor(Date.now() / 1000) + Number(this.config.clock_offset);
    }

    user(email) {
        return USERS.find((u) => u.email === email) ?? USERS[0];
    }

    // ---- authorization codes

    newCode(fields) {
        const code = 'XAB11' + this.now() + randomText(35, ALNUM + 'ABCDEFGHIJKLMNOPQRSTUVWXYZ');
        this.codes.set(code, { ...fields, code, issued: this.now(), used: false, grant: null });
        return code;
    }

    // ---- grants and tokens

    newGrant({ client_id, realm, user, scope, nonce, origin }) {
        const now = this.now();
        const grant = {
            id: this.grants.length + 1, client_id, realm: realm ?? null, user, scope, origin,
            nonce: nonce ?? null, consented: now, refresh: null, refresh_issued: 0, refresh_expires: 0,
            rotate_next: false, inflight: 0, revoked: false,
        };
        this.grants.push(grant);
        return grant;
    }

    newRefreshValue(grant, now) {
        grant.refresh = 'RT1-39-H3-' + now + randomText(20);
        grant.refresh_issued = now;
        grant.refresh_expires = Math.min(now + Number(this.config.refresh_ttl),
            grant.consented + Number(this.config.hard_ttl));
        grant.rotate_next = false;
        this.byRefresh.set(grant.refresh, grant);
    }

    newAccessValue(grant, now) {
        const head = Buffer.from('{"enc":"A128CBC-HS256","alg":"dir"}').toString('base64url');
        const part = (n) => randomBytes(n).toString('base64url');
        const value = `${head}..${part(16)}.${part(Number(this.config.access_bytes))}.${part(16)}`;
        const access = {
            value, grant, issued: now, expires: now + Number(this.config.access_ttl), revoked: false,
        };
        this.byAccess.set(value, access);
        return access;
    }

    // A pair as the token endpoint hands it out: always a new access token, and
    // a new refresh token only when the old value's time is over.
    issuePair(grant) {
        const now = this.now();
        const age = now - grant.refresh_issued;
        const rotated = grant.refresh !== null;
        if (!grant.refresh || grant.rotate_next || age >= Number(this.config.rotate_after)) {
            this.newRefreshValue(grant, now);
        }
        const access = this.newAccessValue(grant, now);
        const pair = {
            n: this.pairs.length + 1, grant, access, refresh: grant.refresh, issued: now,
            kind: rotated ? 'refresh' : grant.origin,
        };
        this.pairs.push(pair);
        return pair;
    }

    accessState(access) {
        if (access.revoked || access.grant.revoked) {
            return 'revoked';
        }
        return access.expires <= this.now() ? 'expired' : 'valid';
    }

    refreshState(value) {
        const grant = this.byRefresh.get(value);
        if (!grant) {
            return 'unknown';
        }
        if (grant.revoked) {
            return 'revoked';
        }
        if (grant.refresh !== value) {
            return 'replaced';
        }
        const now = this.now();
        const hard = grant.consented + Number(this.config.hard_ttl);
        return grant.refresh_expires <= now || hard <= now ? 'expired' : 'current';
    }

    // Ending the permission of one company ends every pair of it.
    revoke(grant, scope = this.config.revoke_scope) {
        for (const g of this.grants) {
            const same = scope === 'company' && grant.realm !== null
                && g.client_id === grant.client_id && g.realm === grant.realm;
            if (g === grant || same) {
                g.revoked = true;
            }
        }
    }

    expireAccess(realm) {
        let n = 0;
        for (const access of this.byAccess.values()) {
            if ((!realm || access.grant.realm === realm) && access.expires > this.now()) {
                access.expires = this.now() - 1;
                n++;
            }
        }
        return n;
    }

    describePair(p) {
        return {
            n: p.n, grant: p.grant.id, kind: p.kind, client_id: p.grant.client_id,
            realm: p.grant.realm, user: p.grant.user, scope: p.grant.scope, issued: p.issued,
            access_token: p.access.value, access_expires: p.access.expires,
            access_state: this.accessState(p.access),
            refresh_token: p.refresh, refresh_expires: p.grant.refresh_expires,
            refresh_state: this.refreshState(p.refresh),
            state: p.grant.revoked ? 'revoked'
                : this.refreshState(p.refresh) === 'current' ? 'active' : 'stale',
        };
    }

    summary() {
        return {
            config: this.config, users: USERS, companies: COMPANIES,
            clients: [...this.clients.values()].map((c) => ({
                client_id: c.client_id, redirect_uris: c.redirect_uris })),
            codes: this.codes.size, grants: this.grants.length, pairs: this.pairs.length,
            journal: this.journal.length, executions: this.executions,
        };
    }
}

export const s256 = (verifier) => createHash('sha256').update(verifier).digest('base64url');
