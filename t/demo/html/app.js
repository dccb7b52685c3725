// Shows who is signed in and what QuickBooks says about the company.  No
// library, no token: nginx adds what the API needs.

'use strict';

const $ = (id) => document.getElementById(id);

const QUERY = '/v3/company/-/query?query='
    + encodeURIComponent('select * from CompanyInfo');

class Refused extends Error {}

async function getJson(url) {
    const response = await fetch(url, { headers: { Accept: 'application/json' } });
    const data = await response.json().catch(() => ({}));

    if (response.ok) {
        return data;
    }

    // the session has ended meanwhile: sign in again, and come back here
    if (response.status === 401 && data.login_uri) {
        location.assign(data.login_uri);
        return new Promise(() => {});
    }

    throw new Refused(data.error_description ?? data.Fault?.Error?.[0]?.Message
        ?? `nginx answered ${response.status}`);
}

const pretty = (data) => JSON.stringify(data, null, 2);

function showSession(session) {
    const claims = { ...session.claims, ...session.userinfo };
    const name = claims.email ?? session.email ?? claims.sub ?? session.sub ?? 'somebody';

    $('user').textContent = name;
    $('face').textContent = name.slice(0, 1);
    $('session').textContent = pretty(session);
}

function addressOf(company) {
    const a = company.CompanyAddr ?? company.LegalAddr ?? {};
    const town = [a.PostalCode, a.City].filter(Boolean).join(' ');
    const region = [a.CountrySubDivisionCode, a.Country].filter(Boolean).join(', ');

    return [a.Line1, a.Line2, town, region].filter(Boolean).join('\n');
}

function showCompany(answer) {
    const company = answer.QueryResponse?.CompanyInfo?.[0];

    if (!company) {
        throw new Refused('QuickBooks knows no company here');
    }

    $('company-name').textContent = company.CompanyName;
    $('company-address').textContent = addressOf(company);
    $('answer').textContent = pretty(answer);
    document.title = `${company.CompanyName} – Back office`;

    const facts = [
        ['Legal name', company.LegalName],
        ['E-mail', company.Email?.Address],
        ['Phone', company.PrimaryPhone?.FreeFormNumber],
        ['Website', company.WebAddr?.URI],
        ['Fiscal year starts', company.FiscalYearStartMonth],
    ];

    for (const [term, value] of facts.filter(([, v]) => v)) {
        const dt = document.createElement('dt');
        const dd = document.createElement('dd');
        dt.textContent = term;
        dd.textContent = value;
        $('facts').append(dt, dd);
    }
}

function showProblem(error) {
    $('company-name').textContent = 'No answer from QuickBooks';
    $('problem').textContent = error.message;
    $('problem').hidden = false;
}

$('request').textContent = `GET ${decodeURIComponent(QUERY)}`;

getJson('/intuit/session').then(showSession)
    .catch((error) => { $('session').textContent = error.message; });

getJson(QUERY).then(showCompany).catch(showProblem)
    .finally(() => $('company').removeAttribute('aria-busy'));
