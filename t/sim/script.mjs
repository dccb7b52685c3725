// Scripted behaviour: which request gets which action, and the barriers where
// requests are parked until a test lets them go.

const KINDS = ['authorize', 'token', 'revoke', 'userinfo', 'jwks', 'discovery', 'migrate', 'api',
    'other', '*'];
const ACTIONS = ['status', 'headers', 'body', 'body_base64', 'json', 'delay_ms', 'barrier', 'when',
    'effect', 'rst', 'hang', 'close_after', 'drip', 'redirect', 'endless', 'gzip', 'chunked', 'pad',
    'merge', 'omit', 'id_token', 'rotate', 'fault', 'format', 'detail', 'raw', 'raw_base64', 'keep'];
const MATCHES = ['method', 'host', 'grant_type', 'realm', 'query', 'header', 'body'];

function unknown(given, allowed) {
    return Object.keys(given ?? {}).find((k) => !allowed.includes(k));
}

function pathMatches(wanted, path) {
    if (wanted === undefined) {
        return true;
    }
    return wanted.endsWith('*') ? path.startsWith(wanted.slice(0, -1)) : path === wanted;
}

function matches(rule, rq) {
    if ((rule.kind ?? '*') !== '*' && rule.kind !== rq.kind) {
        return false;
    }
    if (!pathMatches(rule.path, rq.path)) {
        return false;
    }
    const m = rule.match ?? {};
    const all = (wanted, get) => Object.entries(wanted ?? {}).every(([k, v]) => get(k) === v);
    return (m.method === undefined || m.method === rq.method)
        && (m.host === undefined || m.host === rq.host)
        && (m.grant_type === undefined || m.grant_type === rq.entry.grant_type)
        && (m.realm === undefined || m.realm === realmOf(rq))
        && (m.body === undefined || rq.body.toString().includes(m.body))
        && all(m.query, (k) => rq.query.get(k) ?? undefined)
        && all(m.header, (k) => rq.headers[k.toLowerCase()]);
}

function realmOf(rq) {
    return rq.entry.realm ?? /^\/v3\/company\/([^/]*)/.exec(rq.path)?.[1];
}

export class Script {
    constructor() {
        this.rules = [];
    }

    add(given) {
        for (const rule of [given].flat()) {
            const odd = unknown(rule, ['kind', 'path', 'match', 'times', 'skip', 'action'])
                ?? unknown(rule?.action, ACTIONS) ?? unknown(rule?.match, MATCHES);
            if (odd !== undefined || !rule?.action || !KINDS.includes(rule.kind ?? '*')) {
                throw new Error(`script: not understood: ${odd ?? rule?.kind ?? 'no action'}`);
            }
            this.rules.push({ ...rule, left: rule.times ?? 1, skip: rule.skip ?? 0, used: 0 });
        }
        return this.rules.length;
    }

    // The first rule that applies and is not used up.
    take(rq) {
        for (const rule of this.rules) {
            if (rule.left === 0 || !matches(rule, rq)) {
                continue;
            }
            if (rule.skip > 0) {
                rule.skip--;
                continue;
            }
            if (rule.left > 0) {
                rule.left--;
            }
            rule.used++;
            return rule.action;
        }
        return null;
    }

    clear() {
        this.rules = [];
    }
}

export class Barriers {
    constructor() {
        this.all = new Map();
    }

    get(name) {
        let b = this.all.get(name);
        if (!b) {
            b = { parked: [], waiters: [], open: false };
            this.all.set(name, b);
        }
        return b;
    }

    park(name) {
        const b = this.get(name);
        if (b.open) {
            return Promise.resolve();
        }
        return new Promise((go) => {
            b.parked.push(go);
            b.waiters = b.waiters.filter((w) => {
                if (b.parked.length < w.count) {
                    return true;
                }
                w.done(b.parked.length);
                return false;
            });
        });
    }

    release(name, { n, open } = {}) {
        const b = this.get(name);
        b.open = Boolean(open);
        const going = b.parked.splice(0, n ?? b.parked.length);
        going.forEach((go) => go());
        return going.length;
    }

    // Answers the number parked, or null when the time is over.
    wait(name, count, timeout) {
        const b = this.get(name);
        if (b.parked.length >= count) {
            return Promise.resolve(b.parked.length);
        }
        return new Promise((resolve) => {
            const waiter = { count, done: (n) => {
                clearTimeout(timer);
                resolve(n);
            } };
            const timer = setTimeout(() => {
                b.waiters = b.waiters.filter((w) => w !== waiter);
                resolve(null);
            }, timeout);
            b.waiters.push(waiter);
        });
    }

    describe() {
        return Object.fromEntries([...this.all].map(([k, b]) => [k, { parked: b.parked.length,
            open: b.open }]));
    }

    reset() {
        for (const name of this.all.keys()) {
            this.release(name);
        }
        this.all.clear();
    }
}
