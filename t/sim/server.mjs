// The listeners and the way of a request: read, write into the journal, find
// its kind, wait where a script says so, run the handler, send the answer.

import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { answerAuthorize, answerToken, answerRevoke, arriveToken } from './oauth.mjs';
import { answerDiscovery, answerJwks, answerUserinfo } from './oidc.mjs';
import { answerApi } from './api.mjs';
import { answerMigrate } from './migrate.mjs';
import { applyAction, newTid, replaces, send } from './respond.mjs';
import { tlsOptions } from './tls.mjs';

const ROUTES = [
    [/^\/connect\/oauth2\/?$/, 'authorize', answerAuthorize],
    [/^\/oauth2\/v1\/tokens\/bearer\/?$/, 'token', answerToken, arriveToken],
    [/^\/v2\/oauth2\/tokens\/revoke\/?$/, 'revoke', answerRevoke],
    [/^\/v2\/oauth2\/tokens\/migrate\/?$/, 'migrate', answerMigrate],
    [/^\/v1\/openid_connect\/userinfo\/?$/, 'userinfo', answerUserinfo],
    [/^\/op\/v1\/jwks\/?$/, 'jwks', answerJwks],
    [/^\/\.well-known\/openid(_sandbox)?_configuration\/?$/, 'discovery', answerDiscovery],
    [/^\/v3\/company\//, 'api', answerApi],
];

const NOT_FOUND = () => ({ status: 404, headers: { 'content-type': 'text/plain; charset=utf-8' },
    body: 'Simulated Intuit: nothing here\n' });

const BODY_LIMIT = 64 * 1024 * 1024;

function splitTarget(sim, target) {
    const relative = /^https?:\/\//i.test(target) ? target.replace(/^https?:\/\/[^/?]*/i, '') : target;
    const mark = relative.indexOf('?');
    let path = mark < 0 ? relative : relative.slice(0, mark);
    if (sim.prefix && path.startsWith(`${sim.prefix}/`)) {
        path = path.slice(sim.prefix.length);
    }
    return { path, query: new URLSearchParams(mark < 0 ? '' : relative.slice(mark + 1)) };
}

function rawPairs(flat) {
    const pairs = [];
    for (let i = 0; i < flat.length; i += 2) {
        pairs.push([flat[i], flat[i + 1]]);
    }
    return pairs;
}

export function record(sim, fields) {
    const entry = { n: ++sim.state.serial, time: new Date().toISOString(), ...fields };
    sim.state.journal.push(entry);
    sim.events.emit('journal');
    return entry;
}

async function readBody(req, entry) {
    const parts = [];
    let size = 0;
    for await (const part of req) {
        size += part.length;
        if (size <= BODY_LIMIT) {
            parts.push(part);
        }
    }
    const body = Buffer.concat(parts);
    entry.body = body.toString();
    entry.body_length = size;
    entry.complete = true;
    return body;
}

function describeTls(socket) {
    return socket.encrypted ? { sni: socket.servername || null, resumed: socket.isSessionReused(),
        protocol: socket.getProtocol(), cipher: socket.getCipher()?.name } : null;
}

async function pause(rq, a, when) {
    if ((a.when ?? 'before') !== when) {
        return;
    }
    if (a.delay_ms) {
        await sleep(a.delay_ms);
    }
    if (a.barrier) {
        await rq.sim.barriers.park(a.barrier);
    }
}

async function run(rq, handler, a) {
    if (rq.sim.state.config.latency_ms) {
        await sleep(Number(rq.sim.state.config.latency_ms));
    }
    await pause(rq, a, 'before');
    const ans = replaces(a) && !a.effect ? null : await handler(rq);
    const finished = applyAction(ans, a, rq.kind);
    await pause(rq, a, 'after');
    await send(rq, finished, a);
}

async function handle(sim, listener, req, res) {
    const socket = req.socket;
    const { path, query } = splitTarget(sim, req.url);
    const [, kind, handler, arrive] = ROUTES.find(([re]) => re.test(path))
        ?? [null, 'other', NOT_FOUND];
    const entry = record(sim, {
        kind, method: req.method, host: req.headers.host ?? null, path, target: req.url,
        query: Object.fromEntries([...query].reverse()), query_list: [...query],
        version: req.httpVersion, raw_headers: rawPairs(req.rawHeaders), headers: req.headers,
        body: '', complete: false, tls: describeTls(socket), connection: socket.simNumber ?? null,
        listener: listener.name, status: null, aborted: false,
    });
    const rq = { sim, req, res, socket, kind, path, query, entry, method: req.method,
        headers: req.headers, host: req.headers.host ?? '', secure: Boolean(socket.encrypted),
        tid: newTid(), action: {}, reset: () => listener.reset(socket) };
    const closed = new Promise((resolve) => {
        res.on('close', () => {
            entry.aborted = !res.writableFinished && entry.status === null;
            resolve();
        });
    });
    try {
        rq.body = await readBody(req, entry);
    } catch {
        entry.aborted = true;
        return;
    }
    const leave = arrive?.(rq);
    const action = sim.script.take(rq);
    rq.action = action ?? {};
    entry.scripted = action !== null;
    try {
        await run(rq, handler, rq.action);
        await closed;
    } finally {
        leave?.();
    }
}

function failed(sim, req, res, err) {
    process.stderr.write(`sim: ${req.method} ${req.url.split('?')[0]}: ${err.stack}\n`);
    if (!res.headersSent && !res.destroyed) {
        res.writeHead(500, { 'content-type': 'text/plain', intuit_tid: newTid() });
        res.end('Simulated Intuit: internal error\n');
    }
}

// One listening socket.  It can be taken down and brought up on the same port.
export class Listener {
    constructor(sim, name, { secure = false, variant = 'good', behave = null, text = '',
        address = '127.0.0.1' } = {}) {
        Object.assign(this, { sim, name, secure, variant, behave, text, address, port: 0 });
        this.sockets = new Set();
    }

    async up(port = this.port) {
        this.server = this.behave ? this.crude() : this.http();
        this.server.on('connection', (socket) => this.track(socket));
        await new Promise((resolve, reject) => {
            this.server.once('error', reject);
            // longer than the crowds of the tests: what does not fit is sent again
            // by the kernel after 1, 3, 7 … seconds, and called a slow Intuit
            this.server.listen({ port, host: this.address, backlog: 4096 }, resolve);
        });
        this.port = this.server.address().port;
        return this;
    }

    http() {
        const options = { maxHeaderSize: 256 * 1024, requireHostHeader: false, keepAlive: false,
            ...(this.secure ? tlsOptions(this.sim.dir, this.variant) : {}) };
        const serve = (req, res) => handle(this.sim, this, req, res)
            .catch((err) => failed(this.sim, req, res, err));
        const server = this.secure ? https.createServer(options, serve) : http.createServer(options, serve);
        server.requestTimeout = 0;
        server.headersTimeout = 0;
        server.timeout = 0;
        server.keepAliveTimeout = this.sim.keepAlive * 1000;
        server.on('secureConnection', (tls) => {
            tls.simNumber = this.raw(tls)?.simNumber;
        });
        server.on('tlsClientError', (err, tls) => {
            this.sim.counts.tls_errors.push({ listener: this.name, variant: this.variant,
                code: err.code ?? err.message, sni: tls.servername || null });
        });
        server.on('clientError', (err, socket) => {
            record(this.sim, { kind: 'other', method: null, path: null, status: 400, headers: {},
                error: err.code, connection: socket.simNumber ?? null, listener: this.name });
            socket.destroy();
        });
        return server;
    }

    // Misbehaviour below HTTP.
    crude() {
        return net.createServer((socket) => {
            socket.on('data', () => {});
            if (this.behave === 'rst') {
                socket.resetAndDestroy();
            } else if (this.behave === 'close') {
                socket.end();
            } else if (this.behave === 'plain') {
                socket.write(this.text || 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
            } else if (this.behave === 'alert') {
                socket.once('data', () => socket.end(Buffer.from('15030300020228', 'hex')));
            } else if (this.behave === 'garbage') {
                socket.end(Buffer.alloc(512, 0xa5));
            }
        });
    }

    track(socket) {
        socket.simNumber = ++this.sim.counts.connections;
        if (!this.server.listening) {
            socket.destroy();               // accepted while it went down
            return;
        }
        this.sockets.add(socket);
        socket.on('close', () => this.sockets.delete(socket));
        socket.on('error', () => {});
    }

    raw(socket) {
        if (!socket.encrypted) {
            return socket;
        }
        return [...this.sockets].find((s) => s.remotePort === socket.remotePort);
    }

    reset(socket) {
        const raw = this.raw(socket);
        try {
            raw.resetAndDestroy();
        } catch {
            raw?.destroy();
        }
        socket.destroy();
    }

    useVariant(variant) {
        this.variant = variant;
        this.server.setSecureContext(tlsOptions(this.sim.dir, variant));
    }

    async down() {
        const { server } = this;
        if (!server?.listening) {
            return;
        }
        const closed = new Promise((resolve) => server.close(resolve));
        for (const socket of this.sockets) {
            socket.destroy();
        }
        await closed;
    }
}
