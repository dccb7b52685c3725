// Certificates for the TLS listeners, made with the openssl command.  Every
// variant but "good" has one thing wrong with it.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

// nginx compares names only, so 127.0.0.1 is given as a DNS name as well.
const NAMES = ['localhost', '127.0.0.1', 'oauth.platform.intuit.com', 'appcenter.intuit.com',
    'developer.intuit.com', 'developer.api.intuit.com', 'developer-sandbox.api.intuit.com',
    'accounts.platform.intuit.com', 'sandbox-accounts.platform.intuit.com',
    'quickbooks.api.intuit.com', 'sandbox-quickbooks.api.intuit.com'];

const GOOD_SAN = `${NAMES.map((n) => `DNS:${n}`).join(',')},IP:127.0.0.1,IP:::1`;

export const VARIANTS = {
    good: {},
    'wrong-host': { san: 'DNS:wrong.example' },
    expired: { from: '20200101000000Z', to: '20210101000000Z' },
    'not-yet': { from: '20900101000000Z', to: '20910101000000Z' },
    revoked: { revoke: true },
    'self-signed': { self: true },
    'other-ca': { ca: 'stranger' },
    'no-intermediate': { ca: 'intermediate' },
    'with-intermediate': { ca: 'intermediate', chain: true },
    'tls10': { use: 'good', options: { minVersion: 'TLSv1', maxVersion: 'TLSv1',
        ciphers: 'DEFAULT:@SECLEVEL=0' } },
    'tls12': { use: 'good', options: { maxVersion: 'TLSv1.2' } },
    'tls13': { use: 'good', options: { minVersion: 'TLSv1.3' } },
};

const CONFIG = (dir) => `
[req]
distinguished_name = dn
prompt = no
string_mask = utf8only
[dn]
CN = localhost
[ca]
default_ca = this_ca
[this_ca]
database = ${dir}/index.txt
new_certs_dir = ${dir}
rand_serial = yes
default_md = sha256
default_days = 30
default_crl_days = 30
unique_subject = no
policy = any
copy_extensions = none
[any]
commonName = supplied
[v3_ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[v3_server]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = \${ENV::SIM_SAN}
`;

function openssl(dir, args, san = GOOD_SAN) {
    execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'],
        env: { ...process.env, SIM_SAN: san, OPENSSL_CONF: '/dev/null' } });
}

function makeKey(dir, name) {
    openssl(dir, ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out',
        `${name}.key`]);
}

function makeRoot(dir, name, subject) {
    makeKey(dir, name);
    openssl(dir, ['req', '-x509', '-new', '-config', 'openssl.cnf', '-key', `${name}.key`, '-subj',
        `/CN=${subject}`, '-extensions', 'v3_ca', '-days', '30', '-out', `${name}.crt`]);
}

function makeSigned(dir, name, { ca = 'ca', san = GOOD_SAN, from, to, extensions = 'v3_server',
    subject = 'localhost' }) {
    makeKey(dir, name);
    openssl(dir, ['req', '-new', '-config', 'openssl.cnf', '-key', `${name}.key`, '-subj',
        `/CN=${subject}`, '-out', `${name}.csr`], san);
    const dates = from ? ['-startdate', from, '-enddate', to] : [];
    openssl(dir, ['ca', '-batch', '-notext', '-config', 'openssl.cnf', '-cert', `${ca}.crt`, '-keyfile',
        `${ca}.key`, '-in', `${name}.csr`, '-extensions', extensions, ...dates, '-out', `${name}.crt`],
    san);
}

function makeSelfSigned(dir, name) {
    makeKey(dir, name);
    openssl(dir, ['req', '-x509', '-new', '-config', 'openssl.cnf', '-key', `${name}.key`, '-subj',
        '/CN=localhost', '-extensions', 'v3_selfsigned', '-days', '30', '-out', `${name}.crt`]);
}

// Makes the authorities, the good certificate, and an empty revocation list.
// The files meant for others: ca.crt, ca.crl, server.crt, server.key.
export function prepare(dir) {
    mkdirSync(dir, { recursive: true });
    if (existsSync(join(dir, 'server.crt')) && existsSync(join(dir, 'ca.crl'))) {
        return;
    }
    for (const name of ['index.txt', 'index.txt.attr']) {
        rmSync(join(dir, name), { force: true });
    }
    writeFileSync(join(dir, 'index.txt'), '');
    writeFileSync(join(dir, 'openssl.cnf'), CONFIG(dir) + `[v3_selfsigned]
basicConstraints = critical,CA:TRUE
subjectAltName = ${GOOD_SAN}
`);
    makeRoot(dir, 'ca', 'Simulated Intuit test CA');
    makeSigned(dir, 'server', {});
    makeList(dir);
}

function makeList(dir) {
    openssl(dir, ['ca', '-gencrl', '-config', 'openssl.cnf', '-cert', 'ca.crt', '-keyfile', 'ca.key',
        '-out', 'ca.crl']);
}

function makeVariant(dir, name, how) {
    if (how.ca === 'stranger' && !existsSync(join(dir, 'stranger.crt'))) {
        makeRoot(dir, 'stranger', 'Some other CA');
    }
    if (how.ca === 'intermediate' && !existsSync(join(dir, 'intermediate.crt'))) {
        makeSigned(dir, 'intermediate', { extensions: 'v3_ca', subject: 'Simulated intermediate' });
    }
    if (how.self) {
        makeSelfSigned(dir, name);
    } else {
        makeSigned(dir, name, how);
    }
    if (how.revoke) {
        openssl(dir, ['ca', '-config', 'openssl.cnf', '-cert', 'ca.crt', '-keyfile', 'ca.key',
            '-revoke', `${name}.crt`]);
        makeList(dir);
    }
}

export function tlsOptions(dir, variant = 'good') {
    const how = VARIANTS[variant];
    if (!how) {
        throw new Error(`no such certificate variant: ${variant}`);
    }
    const base = (how.use ?? variant) === 'good' ? 'server' : variant;
    if (!existsSync(join(dir, `${base}.crt`))) {
        makeVariant(dir, base, how);
    }
    const read = (file) => readFileSync(join(dir, file));
    const cert = how.chain ? Buffer.concat([read(`${base}.crt`), read('intermediate.crt')])
        : read(`${base}.crt`);
    return { key: read(`${base}.key`), cert, ALPNProtocols: ['http/1.1'], ...how.options };
}
