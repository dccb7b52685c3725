// The QuickBooks Online v3 API: enough of it to be proxied in earnest.

import { hasScope, COMPANIES } from './state.mjs';
import { bearer } from './oidc.mjs';
import { fault, faultObject, isoTime, xmlAnswer } from './faults.mjs';

const JSON_TYPE = 'application/json;charset=UTF-8';

const CUSTOMERS = ["Amy's Bird Sanctuary", "Bill's Windsurf Shop", 'Cool Cars', 'Diego Rodriguez',
    'Freeman Sporting Goods', 'Über Gärten GmbH'];

function companyInfo(realm) {
    const known = COMPANIES.find((c) => c.realm === realm);
    const name = known?.name ?? `Company ${realm}`;
    return { CompanyName: name, LegalName: name, CompanyAddr: { Id: '1', Line1: '1 Simulated Street',
        City: known?.city ?? 'Nowhere', Country: 'US' }, Country: 'US', Email: { Address: 'office@example.com' },
    FiscalYearStartMonth: 'January', SupportedLanguages: 'en', domain: 'QBO', sparse: false, Id: '1',
    SyncToken: '4', MetaData: { CreateTime: '2026-01-05T08:00:00-08:00',
        LastUpdatedTime: '2026-06-01T08:00:00-07:00' } };
}

// The objects of one company, made on first use: kind -> list.
function store(state, realm) {
    let books = state.entities.get(realm);
    if (!books) {
        const Customer = CUSTOMERS.map((DisplayName, i) => ({ DisplayName, FullyQualifiedName: DisplayName,
            Active: true, Balance: i * 12.5, domain: 'QBO', sparse: false, Id: String(i + 1),
            SyncToken: '0' }));
        books = { lists: { CompanyInfo: [companyInfo(realm)], Customer, Invoice: [] }, next: 100 };
        state.entities.set(realm, books);
    }
    return books;
}

const properName = (entity) => ({ companyinfo: 'CompanyInfo', taxcode: 'TaxCode', creditmemo: 'CreditMemo',
    salesreceipt: 'SalesReceipt', billpayment: 'BillPayment' })[entity.toLowerCase()]
    ?? entity[0].toUpperCase() + entity.slice(1).toLowerCase();

// ---- operations; each answers {json} or {fault: [code, options]}

function runQuery(rq, realm, text) {
    const m = /^\s*select\s+(count\(\*\)|\*|[\w.,\s]+?)\s+from\s+(\w+)(.*)$/is.exec(text ?? '');
    if (!m) {
        return { fault: [4000, { detail: `QueryParserError: ${String(text).slice(0, 60)}` }] };
    }
    const name = properName(m[2]);
    let rows = store(rq.sim.state, realm).lists[name] ?? [];
    const where = /where\s+(\w+)\s*=\s*'((?:[^'\\]|\\.)*)'/i.exec(m[3]);
    if (where) {
        const wanted = where[2].replace(/\\(.)/g, '$1');
        rows = rows.filter((r) => String(r[where[1]]) === wanted);
    }
    if (/^count/i.test(m[1])) {
        return { json: { QueryResponse: { totalCount: rows.length }, time: isoTime() } };
    }
    const start = Number(/startposition\s+(\d+)/i.exec(m[3])?.[1] ?? 1);
    const max = Math.min(1000, Number(/maxresults\s+(\d+)/i.exec(m[3])?.[1] ?? 100));
    rows = rows.slice(start - 1, start - 1 + max);
    const found = rows.length
        ? { [name]: rows, startPosition: start, maxResults: rows.length } : {};
    return { json: { QueryResponse: found, time: isoTime() } };
}

function create(rq, realm, entity, body) {
    const { state } = rq.sim;
    const name = properName(entity);
    if (body === null || typeof body !== 'object' || Array.isArray(body)) {
        return { fault: [2020, { detail: 'The body is not a JSON object' }] };
    }
    if (name === 'Invoice' && !Array.isArray(body.Line)) {
        return { fault: [2020] };
    }
    const books = store(state, realm);
    const made = { ...body, Id: String(books.next++), SyncToken: '0', domain: 'QBO', sparse: false };
    (books.lists[name] ??= []).push(made);
    const counted = (state.executions[realm] ??= {});
    counted[name] = (counted[name] ?? 0) + 1;
    return { json: { [name]: made, time: isoTime() } };
}

function parseJson(rq) {
    try {
        return JSON.parse(rq.body.toString());
    } catch {
        return null;
    }
}

function runBatch(rq, realm) {
    const items = parseJson(rq)?.BatchItemRequest;
    if (!Array.isArray(items) || items.length > 30) {
        return { fault: [2020, { detail: 'BatchItemRequest: 1 to 30 items' }] };
    }
    const answers = items.map((item) => {
        const entity = Object.keys(item).find((k) => !['bId', 'operation', 'Query'].includes(k));
        const done = item.Query !== undefined ? runQuery(rq, realm, item.Query)
            : item.operation === 'create' && entity ? create(rq, realm, entity, item[entity])
                : { fault: [4000, { detail: 'Unsupported operation' }] };
        const { time, ...json } = done.json ?? {};
        return { ...json, ...(done.fault
            ? { Fault: faultObject(done.fault[0], done.fault[1]?.detail) } : {}), bId: item.bId };
    });
    return { json: { BatchItemResponse: answers, time: isoTime() } };
}

function read(rq, realm, entity, id) {
    const name = properName(entity);
    const wanted = name === 'CompanyInfo' ? '1' : id;
    if (name === 'CompanyInfo' && id !== realm) {
        return { fault: [610] };
    }
    const found = store(rq.sim.state, realm).lists[name]?.find((r) => r.Id === wanted);
    return found ? { json: { [name]: found, time: isoTime() } } : { fault: [610] };
}

function changes(rq, realm) {
    const { lists } = store(rq.sim.state, realm);
    const names = (rq.query.get('entities') ?? '').split(',').filter(Boolean).map(properName);
    return { json: { CDCResponse: [{ QueryResponse: names.map((n) => ({ [n]: lists[n] ?? [],
        startPosition: 1, maxResults: lists[n]?.length ?? 0 })) }], time: isoTime() } };
}

function report(rq, name) {
    return { json: { Header: { Time: isoTime(), ReportName: name, Currency: 'USD' },
        Columns: { Column: [] }, Rows: { Row: [] } } };
}

function operate(rq, realm, parts) {
    const [what, id, extra] = parts;
    const get = rq.method === 'GET' || rq.method === 'HEAD';
    if (what === 'query') {
        return runQuery(rq, realm, get ? rq.query.get('query') : rq.body.toString());
    }
    if (what === 'batch' && rq.method === 'POST') {
        return runBatch(rq, realm);
    }
    if (what === 'cdc') {
        return changes(rq, realm);
    }
    if (what === 'reports' && id) {
        return report(rq, id);
    }
    if (get && id && extra === 'pdf') {
        return { answer: { status: 200, headers: { 'content-type': 'application/pdf' },
            body: `%PDF-1.4\n% ${what} ${id}\n%%EOF\n` } };
    }
    if (get && id && extra === undefined) {
        return read(rq, realm, what, id);
    }
    if (rq.method === 'POST' && what && id === undefined) {
        return create(rq, realm, what, parseJson(rq));
    }
    return { answer: { status: 404, headers: { 'content-type': 'text/plain' }, body: 'Not Found\n' } };
}

// ---- what stands before every operation

function refuse(rq, realm) {
    const { state } = rq.sim;
    const access = bearer(rq);
    if (!access) {
        return fault(3200, { detail: rq.headers.authorization ? 'Malformed bearer token: invalid'
            : 'Missing authorization' });
    }
    rq.entry.token_realm = access.grant.realm;
    const found = state.accessState(access);
    if (found !== 'valid') {
        return fault(3200, { detail: `Token ${found}: AB01${access.value.slice(-8)}` });
    }
    if (access.grant.realm !== realm
        || !hasScope(access.grant.scope, 'com.intuit.quickbooks.accounting')) {
        return fault(3100);
    }
    return null;
}

function overQuota(rq, realm, what) {
    const { state } = rq.sim;
    if (!state.config.quota) {
        return false;
    }
    const now = Date.now();
    state.quotaHits = state.quotaHits.filter((h) => h.at > now - 60000);
    const mine = state.quotaHits.filter((h) => h.realm === realm);
    const second = mine.filter((h) => h.at > now - 1000).length;
    const batches = mine.filter((h) => h.batch).length;
    if (mine.length >= 500 || second >= 10 || (what === 'batch' && batches >= 40)) {
        return true;
    }
    state.quotaHits.push({ realm, at: now, batch: what === 'batch' });
    return false;
}

function remembered(rq, realm, run) {
    const id = rq.query.get('requestid');
    if (!id || rq.method !== 'POST') {
        return run();
    }
    if (id.length > 50) {
        return { fault: [2050] };
    }
    const ids = rq.sim.state.requestIds;
    const key = `${realm} ${id}`;
    if (!ids.has(key)) {
        ids.set(key, run());
    } else {
        rq.entry.replayed = true;
    }
    return ids.get(key);
}

export function answerApi(rq) {
    const m = /^\/v3\/company\/([^/]*)\/?(.*)$/.exec(rq.path);
    const realm = m[1];
    const parts = m[2].split('/').filter(Boolean).map((p) => {
        try {
            return decodeURIComponent(p);
        } catch {
            return p;
        }
    });
    rq.entry.realm = realm;
    const refused = refuse(rq, realm);
    if (refused) {
        return refused;
    }
    if (overQuota(rq, realm, parts[0])) {
        return fault(3001);
    }
    const done = remembered(rq, realm, () => operate(rq, realm, parts));
    if (done.fault) {
        return fault(...done.fault);
    }
    if (done.answer) {
        return { ...done.answer, headers: { ...done.answer.headers } };
    }
    if (!/\bjson\b/i.test(rq.headers.accept ?? '')) {
        return xmlAnswer(done.json);
    }
    return { status: 200, headers: { 'content-type': JSON_TYPE,
        'cache-control': 'max-age=0, no-cache, no-store, must-revalidate, private' }, json: done.json };
}
