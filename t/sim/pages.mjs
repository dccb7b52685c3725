// The HTML pages: sign-in and company picker, and the error page.  No external
// content, no script; everything that comes from a request is escaped.

import { COMPANIES, USERS } from './state.mjs';

const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
export const escapeHtml = (s) => String(s).replace(/[&<>"']/g, (c) => ENTITIES[c]);

const SCOPE_WORDS = {
    openid: 'Know who you are',
    profile: 'See your name',
    email: 'See your e-mail address',
    phone: 'See your phone number',
    address: 'See your postal address',
    intuit_name: 'See your display name',
    'com.intuit.quickbooks.accounting': 'Read and change your QuickBooks books',
    'com.intuit.quickbooks.payment': 'Take payments for you',
};

const CSS = `
:root { color-scheme: light dark; --bg: #eef1f4; --card: #fff; --ink: #16202b; --soft: #566472;
  --line: #d6dde4; --pick: #e8f5ee; --go: #0b7a43; --go-over: #075f33; --go-ink: #fff;
  --band: #f7d774; --band-ink: #3d2f00; --shadow: 0 1px 2px #0a1a2a14, 0 12px 32px #0a1a2a14; }
@media (prefers-color-scheme: dark) {
  :root { --bg: #10161c; --card: #19222b; --ink: #e9eff5; --soft: #9caebd; --line: #33414e;
    --pick: #173428; --go: #3fbf7f; --go-over: #63d59b; --go-ink: #06210f;
    --band: #4d3f10; --band-ink: #ffe9a3; --shadow: 0 12px 32px #0006; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; background: var(--bg); color: var(--ink);
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.band { background: var(--band); color: var(--band-ink); text-align: center; padding: .5rem 1rem;
  font-size: .875rem; }
.card { max-width: 46rem; margin: 1.75rem auto; background: var(--card); border-radius: 14px;
  border: 1px solid var(--line); box-shadow: var(--shadow); overflow: hidden; }
header { padding: 1.5rem 2rem 1.1rem; border-bottom: 1px solid var(--line); display: flex;
  gap: 1rem; align-items: center; }
.mark { flex: none; width: 3rem; height: 3rem; border-radius: 12px; background: var(--go);
  color: var(--go-ink); display: grid; place-items: center; }
.mark svg { width: 1.75rem; height: 1.75rem; }
h1 { font-size: 1.3rem; line-height: 1.25; margin: 0; font-weight: 650; }
header p { margin: .2rem 0 0; color: var(--soft); font-size: .9rem; }
code { font: .92em ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.cols { display: grid; grid-template-columns: 1fr 1fr; }
fieldset { border: 0; margin: 0; padding: 1.1rem 2rem 1.2rem; min-width: 0; }
.cols fieldset + fieldset { border-left: 1px solid var(--line); }
legend { float: left; width: 100%; padding: 0 0 .6rem; font-weight: 600; font-size: .95rem; }
legend + * { clear: both; }
label { display: flex; gap: .7rem; align-items: center; padding: .55rem .7rem; cursor: pointer;
  border: 1px solid var(--line); border-radius: 10px; margin-bottom: .5rem; }
label:hover { border-color: var(--go); }
label:has(:checked) { border-color: var(--go); background: var(--pick); }
label:has(:focus-visible), button:focus-visible { outline: 3px solid var(--go); outline-offset: 2px; }
input { accent-color: var(--go); width: 1.05rem; height: 1.05rem; margin: 0; flex: none; }
label span { min-width: 0; }
label b { display: block; font-weight: 600; line-height: 1.3; }
label small { display: block; color: var(--soft); font-size: .8rem; line-height: 1.35;
  overflow-wrap: anywhere; }
.asks { padding: 1rem 2rem; border-top: 1px solid var(--line); }
.asks h2 { margin: 0 0 .5rem; font-size: .95rem; font-weight: 600; }
ul { margin: 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: .4rem; }
li { border: 1px solid var(--line); border-radius: 99px; padding: .15rem .7rem; font-size: .85rem; }
footer { display: flex; gap: .75rem; justify-content: flex-end; align-items: center;
  padding: 1rem 2rem 1.25rem; border-top: 1px solid var(--line); }
footer p { margin: 0 auto 0 0; color: var(--soft); font-size: .8rem; min-width: 0; }
button { font: inherit; font-weight: 600; border-radius: 99px; padding: .6rem 1.5rem;
  cursor: pointer; border: 1px solid var(--line); background: transparent; color: var(--ink);
  white-space: nowrap; }
button:hover { border-color: var(--soft); }
button.go { background: var(--go); border-color: var(--go); color: var(--go-ink); }
button.go:hover { background: var(--go-over); border-color: var(--go-over); }
.what { padding: 1.25rem 2rem 1.5rem; }
.what p { margin: 0 0 .7rem; }
.what .value { border: 1px solid var(--line); border-radius: 10px; padding: .7rem .9rem; }
@media (max-width: 40rem) { .cols { grid-template-columns: 1fr; } .card { margin: 0; border-radius: 0; }
  .cols fieldset + fieldset { border-left: 0; border-top: 1px solid var(--line); }
  footer { flex-wrap: wrap; } footer p { width: 100%; } }
`;

const MARK = '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.2" '
    + 'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">'
    + '<path d="M9.5 14.5l5-5"/><path d="M11 6.5l1.8-1.8a4.6 4.6 0 0 1 6.5 6.5L17.5 13"/>'
    + '<path d="M13 17.5l-1.8 1.8a4.6 4.6 0 0 1-6.5-6.5L6.5 11"/></svg>';

const HEADERS = {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; "
        + "base-uri 'none'; frame-ancestors 'none'",
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
};

function page(title, body) {
    return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)} – Simulated Intuit</title>
<style>${CSS}</style>
</head>
<body>
<div class="band"><strong>Simulated Intuit</strong> – a test stand-in on this machine.
Not Intuit, no password needed.</div>
${body}
</body>
</html>
`;
}

const choice = (name, value, checked, title, ...details) => `<label>
<input type="radio" name="${name}" value="${escapeHtml(value)}"${checked ? ' checked' : ''}>
<span><b>${escapeHtml(title)}</b>${details.map((d) => `<small>${escapeHtml(d)}</small>`).join('')}</span>
</label>`;

function userPicker() {
    const rows = USERS.map((u, i) => choice('user', u.email, i === 0, `${u.givenName} ${u.familyName}`,
        u.email + (u.emailVerified ? '' : ' – not verified')));
    return `<fieldset><legend>Sign in as</legend>${rows.join('\n')}</fieldset>`;
}

function companyPicker() {
    const rows = COMPANIES.map((c, i) => choice('realm', c.realm, i === 0, c.name,
        `${c.kind}, ${c.city}`, `Company ID ${c.realm}`));
    return `<fieldset><legend>Company to connect</legend>${rows.join('\n')}</fieldset>`;
}

export function loginPage(sim, request, query) {
    const host = new URL(request.redirect_uri).host;
    const asks = request.scope.split(' ')
        .map((s) => `<li title="${escapeHtml(s)}">${escapeHtml(SCOPE_WORDS[s] ?? s)}</li>`).join('\n');
    const title = request.company ? 'Connect a company' : 'Sign in';
    const body = `<main class="card">
<header><div class="mark">${MARK}</div><div>
<h1>${request.company ? 'Connect a QuickBooks company to this app' : 'Sign in to this app'}</h1>
<p>App <code>${escapeHtml(request.client_id)}</code> at <code>${escapeHtml(host)}</code></p></div></header>
<form method="post" action="${escapeHtml(sim.publicBase)}/connect/oauth2" autocomplete="off">
<input type="hidden" name="request" value="${escapeHtml(query)}">
<div class="${request.company ? 'cols' : ''}">
${userPicker()}
${request.company ? companyPicker() : ''}
</div>
<section class="asks"><h2>The app asks to</h2><ul>${asks}</ul></section>
<footer><p>You go back to <code>${escapeHtml(host)}</code> either way.</p>
<button type="submit" name="decision" value="deny">No, thanks</button>
<button class="go" type="submit" name="decision" value="connect">Connect</button></footer>
</form>
</main>`;
    return { status: 200, headers: { ...HEADERS }, body: page(title, body) };
}

export function errorPage(status, title, what) {
    const body = `<main class="card">
<header><div class="mark">${MARK}</div><div><h1>Sorry, this app cannot connect</h1>
<p>The mistake is in the app's settings, so the browser is not sent back to it.</p></div></header>
<div class="what"><p><strong>${escapeHtml(title)}</strong></p>
<p class="value"><code>${escapeHtml(what)}</code></p></div>
</main>`;
    return { status, headers: { ...HEADERS }, body: page('Error', body) };
}

// What a gateway in front of Intuit says when it has nothing better.
const REASONS = { 500: 'Internal Server Error', 502: 'Bad Gateway', 503: 'Service Temporarily Unavailable',
    504: 'Gateway Time-out' };

export function gatewayPage(status) {
    const line = `${status} ${REASONS[status] ?? 'Error'}`;
    return `<html>\r\n<head><title>${line}</title></head>\r\n<body>\r\n<center><h1>${line}</h1></center>\r\n`
        + '<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n';
}
