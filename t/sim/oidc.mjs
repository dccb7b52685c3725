// OpenID Connect side: discovery documents, signing keys, id_token, userinfo.

import { generateKeyPair, generateKeyPairSync, createSign, createHmac, constants, randomBytes }
    from 'node:crypto';
import { promisify } from 'node:util';
import { hasScope } from './state.mjs';

const makePair = promisify(generateKeyPair);

async function rsaKey(bits, role) {
    const pair = await makePair('rsa', { modulusLength: bits });
    return { ...pair, kid: randomBytes(15).toString('base64url'), bits, role };
}

export class Keys {
    static async create() {
        const keys = new Keys();
        const [current, next, weak] = await Promise.all([
            rsaKey(2048, 'current'), rsaKey(2048, 'other'), rsaKey(1024, 'weak')]);
        keys.start = [weak, current, next];
        keys.reset();
        return keys;
    }

    reset() {
        this.published = [...this.start];
        this.current = this.start[1];
        this.previous = null;
        this.weak = this.start[0];
    }

    // A key that nobody published.
    get foreign() {
        this.foreignKey ??= { ...generateKeyPairSync('rsa', { modulusLength: 2048 }), kid: 'foreign' };
        return this.foreignKey;
    }

    // The one that a script's sign_with names.  Making the foreign one takes
    // long: nobody pays for it who does not ask.
    chosen(name) {
        switch (name) {
        case 'other':
            return this.foreign;
        case 'weak':
            return this.weak;
        case 'previous':
            return this.previous ?? this.current;
        default:
            return this.current;
        }
    }

    async rotate(dropOld) {
        const fresh = await rsaKey(2048, 'current');
        this.previous = this.current;
        if (dropOld) {
            this.published = this.published.filter((k) => k !== this.current);
        }
        this.published.push(fresh);
        this.current = fresh;
        return { kid: fresh.kid, dropped: dropOld ? this.previous.kid : null };
    }

    jwks() {
        return {
            keys: this.published.map((k) => {
                const { n, e } = k.publicKey.export({ format: 'jwk' });
                return { kty: 'RSA', e, use: 'sig', kid: k.kid, alg: 'RS256', n };
            }),
        };
    }

    describe() {
        return {
            current: this.current.kid,
            foreign: this.foreignKey !== undefined,
            published: this.published.map((k) => ({ kid: k.kid, bits: k.bits })),
        };
    }
}

export function discovery(sim) {
    return {
        issuer: sim.issuer,
        authorization_endpoint: `${sim.publicBase}/connect/oauth2`,
        token_endpoint: `${sim.base}/oauth2/v1/tokens/bearer`,
        userinfo_endpoint: `${sim.base}/v1/openid_connect/userinfo`,
        revocation_endpoint: `${sim.base}/v2/oauth2/tokens/revoke`,
        jwks_uri: `${sim.base}/op/v1/jwks`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'],
        scopes_supported: ['openid', 'email', 'profile', 'address', 'phone'],
        token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'],
        claims_supported: ['aud', 'exp', 'iat', 'iss', 'realmid', 'sub'],
    };
}

const JSON_TYPE = 'application/json;charset=UTF-8';

export function answerDiscovery(rq) {
    if (rq.method !== 'GET' && rq.method !== 'HEAD') {
        return { status: 405, headers: { allow: 'GET, HEAD' }, body: '' };
    }
    return { status: 200, headers: { 'content-type': JSON_TYPE, 'cache-control': 'max-age=300' },
        json: discovery(rq.sim) };
}

export function answerJwks(rq) {
    if (rq.method !== 'GET' && rq.method !== 'HEAD') {
        return { status: 405, headers: { allow: 'GET, HEAD' }, body: '' };
    }
    return { status: 200, headers: { 'content-type': JSON_TYPE, 'cache-control': 'max-age=300' },
        json: rq.sim.keys.jwks() };
}

export function answerUserinfo(rq) {
    const { state } = rq.sim;
    const access = bearer(rq);
    if (!access || state.accessState(access) !== 'valid' || !hasScope(access.grant.scope, 'openid')) {
        return { status: 401, headers: { 'content-type': JSON_TYPE,
            'www-authenticate': 'Bearer realm="Intuit", error="invalid_token"' },
        json: { error: 'invalid_token' } };
    }
    const user = state.user(access.grant.user);
    const scope = (name) => hasScope(access.grant.scope, name);
    const json = { sub: user.sub };
    if (scope('email')) {
        json.email = user.email;
        json.emailVerified = user.emailVerified;
    }
    if (scope('profile')) {
        json.givenName = user.givenName;
        json.familyName = user.familyName;
    }
    if (scope('phone')) {
        json.phoneNumber = user.phoneNumber;
        json.phoneNumberVerified = false;
    }
    if (scope('address')) {
        json.address = { streetAddress: '1 Simulated Street', locality: user.locality, region: 'SIM',
            postalCode: '00000', country: 'US' };
    }
    return { status: 200, headers: { 'content-type': JSON_TYPE }, json };
}

export function bearer(rq) {
    const value = rq.headers.authorization ?? '';
    const m = /^bearer +(\S+)$/i.exec(value);
    return m ? rq.sim.state.byAccess.get(m[1]) : undefined;
}

// ---- id_token

const b64 = (text) => Buffer.from(text).toString('base64url');

// Intuit escapes the slashes of the issuer, so the simulator does.
const escaped = (value) => JSON.stringify(value).replace(/\//g, '\\/');

function hmacSecret(sim, grant, which) {
    if (which === 'client_secret') {
        return sim.state.clients.get(grant.client_id)?.client_secret ?? '';
    }
    if (which === 'modulus') {
        return sim.keys.current.publicKey.export({ format: 'jwk' }).n;
    }
    if (which && which !== 'public_pem') {
        return which;
    }
    return sim.keys.current.publicKey.export({ type: 'spki', format: 'pem' });
}

function sign(sim, grant, input, alg, key, change) {
    const hash = `sha${alg.slice(2)}`;
    switch (alg.slice(0, 2)) {
    case 'RS':
        return createSign(hash).update(input).sign(key.privateKey).toString('base64url');
    case 'PS':
        return createSign(hash).update(input).sign({
            key: key.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING,
            saltLength: constants.RSA_PSS_SALTLEN_DIGEST }).toString('base64url');
    case 'HS':
        return createHmac(hash, hmacSecret(sim, grant, change.hs_secret)).update(input)
            .digest('base64url');
    case 'ES': {
        const curve = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[alg];
        const ec = generateKeyPairSync('ec', { namedCurve: curve });
        return createSign(hash).update(input)
            .sign({ key: ec.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url');
    }
    default:
        return '';
    }
}

// "$nonce" in a scripted claim stands for the nonce of the login.
export function idToken(sim, grant, change = {}, atLogin = true) {
    if (change.raw !== undefined) {
        return change.raw;
    }
    const { state, keys } = sim;
    const now = state.now();
    const claims = { sub: state.user(grant.user).sub, aud: [grant.client_id] };
    if (grant.realm && state.config.id_token_realmid) {
        claims.realmid = grant.realm;
    }
    Object.assign(claims, { auth_time: grant.consented, iss: sim.issuer, exp: now + 3600, iat: now });
    if (atLogin && state.config.nonce === 'echo' && grant.nonce !== null) {
        claims.nonce = grant.nonce;
    }
    for (const [name, value] of Object.entries(change.claims ?? {})) {
        claims[name] = value === '$nonce' ? grant.nonce : value;
    }
    for (const name of change.omit ?? []) {
        delete claims[name];
    }

    const key = keys.chosen(change.sign_with);
    const alg = change.alg ?? 'RS256';
    const kid = change.sign_with === 'other' ? keys.current.kid : key.kid;
    const header = { kid, alg, ...change.header };
    for (const name of change.omit_header ?? []) {
        delete header[name];
    }

    const payload = change.payload_raw ?? escaped(claims);
    const input = `${b64(JSON.stringify(header))}.${b64(payload)}`;
    if (change.sign_with === 'none') {
        return `${input}.`;
    }
    return `${input}.${sign(sim, grant, input, alg, key, change)}`;
}
