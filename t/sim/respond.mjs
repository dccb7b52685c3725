// Sends an answer, well or, when a script says so, badly.

import { STATUS_CODES } from 'node:http';
import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { setTimeout as sleep } from 'node:timers/promises';
import { gatewayPage } from './pages.mjs';
import { fault } from './faults.mjs';

export function newTid() {
    const time = Math.floor(Date.now() / 1000).toString(16).padStart(8, '0');
    return `1-${time}-${randomBytes(12).toString('hex')}`;
}

// Does the action put another answer in place of the normal one?
export function replaces(a) {
    return ['body', 'body_base64', 'json', 'redirect', 'fault', 'raw', 'raw_base64', 'rst', 'hang',
        'endless'].some((k) => a[k] !== undefined && a[k] !== false)
        || (a.status !== undefined && a.merge === undefined && a.omit === undefined);
}

function replacement(a, kind) {
    if (a.fault !== undefined) {
        return fault(String(a.fault), { detail: a.detail, format: a.format, status: a.status });
    }
    if (a.redirect !== undefined) {
        return { status: a.status ?? 302, headers: { location: a.redirect }, body: '' };
    }
    const status = a.status ?? 200;
    if (a.json !== undefined) {
        return { status, headers: { 'content-type': 'application/json;charset=UTF-8' }, json: a.json };
    }
    if (a.body_base64 !== undefined) {
        return { status, headers: {}, body: Buffer.from(a.body_base64, 'base64') };
    }
    if (a.body !== undefined) {
        return { status, headers: {}, body: a.body };
    }
    if (status >= 500) {
        return { status, headers: { 'content-type': 'text/html' }, body: gatewayPage(status) };
    }
    if (kind === 'api' && [401, 403, 429].includes(status)) {
        return fault({ 401: '3200', 403: '3100', 429: '3001' }[status], { format: a.format });
    }
    return { status, headers: {}, body: '' };
}

export function applyAction(ans, a, kind) {
    if (!ans || replaces(a)) {
        ans = replacement(a, kind);
    }
    if (a.status !== undefined) {
        ans.status = a.status;
    }
    if (ans.json !== undefined && typeof ans.json === 'object' && (a.merge || a.omit)) {
        ans.json = { ...ans.json, ...a.merge };
        for (const name of a.omit ?? []) {
            delete ans.json[name];
        }
    }
    return ans;
}

// A flat list of name, value; a scripted header replaces one of the same name
// and null takes it away; an array sends it several times.
function headerList(ans, a, tid) {
    const found = new Map();
    const put = (headers) => {
        for (const [name, value] of Object.entries(headers ?? {})) {
            found.set(name.toLowerCase(), [name, value]);
        }
    };
    put({ server: 'nginx', intuit_tid: tid, 'x-spanid': randomBytes(8).toString('hex'),
        'x-amzn-trace-id': `Root=${tid}` });
    put(ans.headers);
    put(a.headers);
    const flat = [];
    for (const [name, value] of found.values()) {
        for (const v of value === null || value === undefined ? [] : [value].flat()) {
            flat.push(name, String(v));
        }
    }
    return flat;
}

const has = (flat, name) => flat.some((v, i) => i % 2 === 0 && v.toLowerCase() === name);

function headBytes(status, flat) {
    let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n`;
    for (let i = 0; i < flat.length; i += 2) {
        text += `${flat[i]}: ${flat[i + 1]}\r\n`;
    }
    return Buffer.from(`${text}\r\n`, 'latin1');
}

function bodyBytes(ans, a) {
    let body = ans.body ?? '';
    if (ans.json !== undefined) {
        body = JSON.stringify(ans.json);
    }
    body = Buffer.isBuffer(body) ? body : Buffer.from(String(body));
    if (a.pad) {
        body = Buffer.concat([body, Buffer.alloc(a.pad, ' ')]);
    }
    return a.gzip ? gzipSync(body) : body;
}

async function drip(socket, bytes, { bytes: step = 1, interval_ms = 100 }) {
    for (let at = 0; at < bytes.length && !socket.destroyed; at += step) {
        socket.write(bytes.subarray(at, at + step));
        await sleep(interval_ms);
    }
}

async function endless(rq, status, flat) {
    const { res } = rq;
    res.writeHead(status, flat);
    res.write('{"token_type":"bearer","access_token":"');
    const block = Buffer.alloc(65536, 'a');
    while (!res.destroyed && !rq.socket.destroyed) {
        if (!res.write(block)) {
            await new Promise((go) => {
                const done = () => {
                    clearTimeout(timer);
                    go();
                };
                const timer = setTimeout(go, 200);
                res.once('drain', done);
            });
        }
    }
}

function sendRaw(rq, a) {
    const bytes = a.raw_base64 !== undefined ? Buffer.from(a.raw_base64, 'base64')
        : Buffer.from(a.raw, 'latin1');
    rq.socket.write(bytes);
    if (!a.keep) {
        rq.socket.end();
    }
}

function sendPlainly(rq, status, flat, body) {
    try {
        rq.res.writeHead(status, flat);
        rq.res.end(body);
    } catch {
        // A scripted header that node refuses to send: write it ourselves.
        rq.socket.end(Buffer.concat([headBytes(status, flat), body]));
    }
}

export async function send(rq, ans, a) {
    const { entry, socket, res } = rq;
    entry.answered = new Date().toISOString();
    if (a.rst) {
        rq.reset();
        return;
    }
    if (a.hang) {
        return;
    }
    if (a.raw !== undefined || a.raw_base64 !== undefined) {
        sendRaw(rq, a);
        return;
    }
    const { status } = ans;
    const flat = headerList(ans, a, rq.tid);
    entry.status = status;
    entry.intuit_tid = rq.tid;
    if (a.endless) {
        await endless(rq, status, flat);
        return;
    }
    const body = bodyBytes(ans, a);
    if (a.gzip) {
        flat.push('content-encoding', 'gzip');
    }
    if (!a.chunked && !has(flat, 'content-length') && status !== 204 && status !== 304) {
        flat.push('content-length', String(body.length));
    }
    if (a.close_after !== undefined) {
        const head = headBytes(status, [...flat, 'connection', 'close']);
        socket.end(Buffer.concat([head, body.subarray(0, a.close_after)]));
        return;
    }
    if (a.drip) {
        const head = headBytes(status, [...flat, 'connection', 'close']);
        if (!a.drip.head) {
            socket.write(head);
        }
        await drip(socket, a.drip.head ? Buffer.concat([head, body]) : body, a.drip);
        socket.end();
        return;
    }
    if (a.chunked) {
        res.writeHead(status, flat);
        const half = Math.ceil(body.length / 2);
        res.write(body.subarray(0, half));
        res.end(body.subarray(half));
        return;
    }
    sendPlainly(rq, status, flat, body);
}
