#!/usr/bin/env node
// Simulated Intuit: an OAuth 2.0 / OpenID Connect provider and QuickBooks API
// on the loopback interface, for tests and for the demonstration.

import { EventEmitter } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { State } from './state.mjs';
import { Keys } from './oidc.mjs';
import { Script, Barriers } from './script.mjs';
import { Listener } from './server.mjs';
import { startControl } from './control.mjs';
import { prepare } from './tls.mjs';

const text = { type: 'string' };
const flag = { type: 'boolean' };
const list = { type: 'string', multiple: true };

const OPTIONS = {
    port: text, 'control-port': text, tls: flag, dir: text, cert: text, host: text,
    'public-base': text, 'path-prefix': text, issuer: text,
    'client-id': text, 'client-secret': text, 'redirect-uri': list,
    'access-ttl': text, 'access-bytes': text, 'refresh-ttl': text, 'rotate-after': text,
    nonce: text, quota: flag, keepalive: text, ready: text, 'die-with-parent': flag, help: flag,
};

const USAGE = 'usage: node main.mjs [--port N] [--control-port N] [--tls --dir D [--cert VARIANT]] '
    + '[--host NAME]\n  [--public-base URL] [--path-prefix P] [--issuer URL] [--client-id X] '
    + '[--client-secret Y]\n  [--redirect-uri Z]... [--access-ttl S] [--access-bytes N]\n'
    + '  [--refresh-ttl S] [--rotate-after S] [--nonce none|echo] [--quota] [--keepalive S] [--ready FILE] [--die-with-parent]\n';

function options() {
    try {
        return parseArgs({ options: OPTIONS }).values;
    } catch (err) {
        process.stderr.write(`sim: ${err.message}\n${USAGE}`);
        process.exit(2);
    }
}

function number(value, name, fallback) {
    if (value === undefined) {
        return fallback;
    }
    if (!/^\d+$/.test(value)) {
        process.stderr.write(`sim: --${name} takes a number\n`);
        process.exit(2);
    }
    return Number(value);
}

function settings(o) {
    const given = {
        access_ttl: number(o['access-ttl'], 'access-ttl'),
        access_bytes: number(o['access-bytes'], 'access-bytes'),
        refresh_ttl: number(o['refresh-ttl'], 'refresh-ttl'),
        rotate_after: number(o['rotate-after'], 'rotate-after'),
        nonce: o.nonce, quota: o.quota,
    };
    return Object.fromEntries(Object.entries(given).filter(([, v]) => v !== undefined));
}

async function start(o) {
    const clients = [{ client_id: o['client-id'] ?? 'sim-client-id',
        client_secret: o['client-secret'] ?? 'sim-client-secret', redirect_uris: o['redirect-uri'] ?? [] }];
    const sim = {
        state: new State(settings(o), clients), script: new Script(), barriers: new Barriers(),
        events: new EventEmitter().setMaxListeners(0), counts: { connections: 0, tls_errors: [] },
        keepAlive: number(o.keepalive, 'keepalive', 65), dir: o.dir ? resolve(o.dir) : null,
        extra: [], keys: await Keys.create(),
    };
    if (sim.dir) {
        prepare(sim.dir);
    }
    sim.main = await new Listener(sim, 'main', { secure: o.tls, variant: o.cert ?? 'good' })
        .up(number(o.port, 'port', 0));
    sim.base = `http${o.tls ? 's' : ''}://${o.host ?? '127.0.0.1'}:${sim.main.port}`;
    sim.publicBase = (o['public-base'] ?? sim.base).replace(/\/+$/, '');
    const path = o['path-prefix'] ?? new URL(sim.publicBase).pathname;
    sim.prefix = path.replace(/\/+$/, '');
    sim.issuer = o.issuer ?? "https://oauth.platform.intuit.com/op/v1";
    sim.controlPort = await startControl(sim, number(o['control-port'], 'control-port', 0));
    return sim;
}

const o = options();
if (o.help) {
    process.stdout.write(USAGE);
    process.exit(0);
}
if (o.tls && !o.dir) {
    process.stderr.write('sim: --tls needs --dir\n');
    process.exit(2);
}

process.on('SIGTERM', () => process.exit(0));
process.on('SIGINT', () => process.exit(0));
process.on('uncaughtException', (err) => process.stderr.write(`sim: ${err.stack}\n`));
if (o['die-with-parent']) {
    process.stdin.on('end', () => process.exit(0)).on('close', () => process.exit(0)).resume();
}

try {
    const sim = await start(o);
    const line = JSON.stringify({ port: sim.main.port, control_port: sim.controlPort, base: sim.base,
        public_base: sim.publicBase, control: `http://127.0.0.1:${sim.controlPort}`,
        issuer: sim.issuer, ca: sim.dir ? `${sim.dir}/ca.crt` : null, pid: process.pid });
    if (o.ready) {
        writeFileSync(`${o.ready}.tmp`, `${line}\n`);
        renameSync(`${o.ready}.tmp`, o.ready);
    }
    process.stdout.write(`${line}\n`);
} catch (err) {
    process.stderr.write(`sim: ${err.message}\n`);
    process.exit(1);
}
