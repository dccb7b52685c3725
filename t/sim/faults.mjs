// The bodies Intuit's API answers with when something is wrong, and a plain
// JSON-to-XML writer for clients that do not ask for JSON.

const XML_ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escapeXml = (s) => String(s).replace(/[&<>"]/g, (c) => XML_ENTITIES[c]);

const JSON_TYPE = 'application/json;charset=UTF-8';
const XML_TYPE = 'application/xml;charset=UTF-8';

export const isoTime = () => new Date().toISOString();

const CATALOGUE = {
    3200: { status: 401, type: 'AUTHENTICATION', message: 'message=AuthenticationFailed; '
        + 'errorCode=003200; statusCode=401', detail: 'Token expired: AB01SIM' },
    3100: { status: 403, type: 'AUTHORIZATION', message: 'message=ApplicationAuthorizationFailed; '
        + 'errorCode=003100; statusCode=403', detail: '' },
    3001: { status: 429, type: 'THROTTLE', message: 'message=ThrottleExceeded; '
        + 'errorCode=003001; statusCode=429', detail: 'The request limit was reached' },
    100: { status: 401, type: 'AuthenticationFault', message: 'General Authentication Error',
        detail: 'AuthenticationFailed', xml: true },
    130: { status: 401, type: 'AuthenticationFault', message: 'Accessing Wrong Cluster',
        detail: 'Accessing Wrong Cluster', xml: true },
    2020: { status: 400, type: 'ValidationFault', message: 'Required param missing, need to supply the '
        + 'required value for the API', detail: 'Required parameter Line is missing in the request' },
    2050: { status: 400, type: 'ValidationFault', message: 'Request has invalid or unsupported property',
        detail: 'requestid is longer than 50 characters' },
    4000: { status: 400, type: 'ValidationFault', message: 'Error parsing query',
        detail: 'QueryParserError: Encountered a word that is not understood' },
    610: { status: 400, type: 'ValidationFault', message: 'Object Not Found',
        detail: 'Object Not Found : Something you are trying to use has been made inactive' },
};

function gatewayBody(f, code) {
    return { warnings: null, intuitObject: null, fault: {
        error: [{ message: f.message, detail: f.detail, code, element: null }], type: f.type },
    report: null, queryResponse: null, batchItemResponse: [], attachableResponse: [],
    syncErrorResponse: null, requestId: null, time: Date.now(), status: null, cdcresponse: [] };
}

function xmlBody(f, code) {
    return '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
        + `<IntuitResponse time="${isoTime()}" xmlns="http://schema.intuit.com/finance/v3">`
        + `<Fault type="${f.type}"><Error code="${code}"><Message>${escapeXml(f.message)}</Message>`
        + `<Detail>${escapeXml(f.detail)}</Detail></Error></Fault></IntuitResponse>`;
}

export function faultObject(code, detail) {
    const f = { ...CATALOGUE[code] };
    return { Error: [{ Message: f.message, Detail: detail ?? f.detail, code, element: '' }],
        type: f.type };
}

// format: 'json', 'xml', or nothing for what Intuit uses for that code.
export function fault(code, { detail, format, status } = {}) {
    const f = { ...(CATALOGUE[code] ?? CATALOGUE[610]) };
    if (detail !== undefined) {
        f.detail = detail;
    }
    const headers = {};
    const answer = { status: status ?? f.status, headers };
    if (f.status === 401) {
        headers['www-authenticate'] = 'Bearer realm="Intuit", error="invalid_token"';
    }
    if (format === 'xml' || (f.xml && format !== 'json')) {
        headers['content-type'] = XML_TYPE;
        return { ...answer, body: xmlBody(f, code) };
    }
    headers['content-type'] = JSON_TYPE;
    if (f.type === 'ValidationFault') {
        return { ...answer, json: { Fault: faultObject(code, f.detail), time: isoTime() } };
    }
    return { ...answer, json: gatewayBody(f, String(code)) };
}

function element(name, value) {
    if (Array.isArray(value)) {
        return value.map((v) => element(name, v)).join('');
    }
    const inner = value !== null && typeof value === 'object'
        ? Object.entries(value).map(([k, v]) => element(k, v)).join('') : escapeXml(value ?? '');
    return `<${name}>${inner}</${name}>`;
}

export function xmlAnswer(json) {
    const inner = Object.entries(json).filter(([k]) => k !== 'time')
        .map(([k, v]) => element(k, v)).join('');
    return { status: 200, headers: { 'content-type': XML_TYPE },
        body: '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
            + `<IntuitResponse time="${json.time}" xmlns="http://schema.intuit.com/finance/v3">`
            + `${inner}</IntuitResponse>` };
}
