#!/usr/bin/perl

# The callback's realmId is an unauthenticated argument: whoever signs in to
# his own company could write another one there.  It counts when the signed
# id_token names it, or when Intuit lets the new token read that company.
# Else: 403, no session, nothing stored, and the company's own connection is
# not touched.
#
# Rows: CB-13

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location / {
            add_header X-Realm $intuit_realm_id;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books;
        }
    }
}
CONF

$t->write_file('html/page.html', "in\n");

my $mine = '193514292156789';
my $victims = '9130347957983546';

sub call {
    my ($jar, $realm) = @_;
    my $r = $t->get("/v3/company/-/companyinfo/$realm", -jar => $jar,
        -json => 1);
    my ($entry) = ($t->sim->journal(kind => 'api'))[-1];

    return ($r->status, $entry->{token_realm},
        $entry->{headers}{authorization});
}

# a login whose callback's realmId is changed on the way
sub login_as {
    my ($from, $to, %o) = @_;
    my $jar = $o{jar} // $t->jar;
    my $r = $t->get('/page.html', -jar => $jar, -browser => 1);
    my $callback = $t->consent($jar, $r->header('Location'), realm => $from,
        user => 'mallory@evil.example');

    defined $to ? $callback =~ s/realmId=\d+/realmId=$to/
        : $callback =~ s/&realmId=\d+//;

    return ($jar, $t->get($callback, -jar => $jar, -browser => 1));
}

my $victim = $t->signed_in(realm => $victims, path => '/page.html');
my ($status, $realm, $token) = call($victim, $victims);

is($status, 200, 'the victim works');
is($realm, $victims, 'with the own company');

sub untouched {
    my ($name, $jar, $r, $error) = @_;

    is($r->status, 403, "$name: 403");
    like($r->body, qr/<dd>$error</, "because of $error");
    is($jar->get('__Host-intuit'), undef, 'no session');
    is($t->get('/page.html', -jar => $jar, -json => 1)->status, 401,
        'and nothing opens');
    is_deeply([ call($victim, $victims) ], [ 200, $victims, $token ],
        "the victim's own token serves as before");
}

# -- the id_token names a company

my ($jar, $r) = login_as($mine, $victims);
untouched('the id_token names another company', $jar, $r,
    'realm_not_proven');
is($t->sim->count(kind => 'api', realm => $mine), 0, 'nothing was read');

($jar, $r) = login_as($mine, undef);
is($r->status, 302, 'without realmId the id_token decides');
is($t->get('/page.html', -jar => $jar)->header('X-Realm'), $mine,
    'whose company it is');

($jar, $r) = login_as($mine, '');
is($r->status, 302, 'with an empty realmId, too');

# -- the id_token does not: the API is the proof

my $rule = { kind => 'token', times => -1,
    action => { id_token => { omit => [ 'realmid' ] } } };

$t->sim->script($rule);

my $before = $t->sim->count(kind => 'api', realm => $mine);
($jar, $r) = login_as($mine, $mine);

is($r->status, 302, 'the company is read with the new token');
is($t->sim->count(kind => 'api', realm => $mine), $before + 1, 'once');
is((call($jar, $mine))[1], $mine, 'and its connection works');

($jar, $r) = login_as($mine, $victims);
untouched('Intuit refuses the token for that company', $jar, $r,
    'realm_not_proven');

($jar, $r) = login_as($mine, undef);
untouched('neither the id_token nor the address names one', $jar, $r,
    'realm_not_proven');

($jar, $r) = login_as($mine, '00000');
untouched('a company that does not exist', $jar, $r, 'realm_not_proven');

# -- answers to the read that prove nothing

my @answers = (
    [ 'a company without a name', { status => 200, json => {} } ],
    [ 'no JSON', { status => 200, body => '<html>' } ],
    [ 'an empty answer', { status => 200, body => '' } ],
    [ 'a fault with status 200', { status => 200,
        json => { Fault => { Error => [ { code => '3100' } ] } } } ],
    [ 'an authorization failure', { status => 401 } ],
    [ 'a missing company', { status => 404 } ],
    [ 'a redirect', { redirect => 'http://127.0.0.1:1/' } ],
);

for (@answers) {
    my ($name, $action) = @$_;

    $t->sim->reset('scripts');
    $t->sim->script($rule, { kind => 'api', action => $action });

    ($jar, $r) = login_as($mine, $victims);
    untouched($name, $jar, $r, 'realm_not_proven');
}

# -- no answer is no proof either, but not the user's fault

for my $action ({ status => 503 }, { status => 429 }, { rst => JSON::PP::true() })
{
    $t->sim->reset('scripts');
    $t->sim->script($rule, { kind => 'api', action => $action });

    ($jar, $r) = login_as($mine, $mine);
    is($r->status, 503, 'the company cannot be read: 503');
    ok($r->header('Retry-After'), 'and when to try again');
    is($jar->get('__Host-intuit'), undef, 'no session');
}

# -- a forged claim of the id_token itself

$t->sim->reset('scripts');

for my $value ('', '../../x', '1' x 40, 'null', JSON::PP::null(), 12345, [ 1 ],
    { a => 1 })
{
    $t->sim->script({ kind => 'token',
        action => { id_token => { claims => { realmid => $value } } } });

    ($jar, $r) = login_as($mine, $victims);
    is($r->status, 403, 'a realmid of an odd form proves nothing: 403');
    is($jar->get('__Host-intuit'), undef, 'no session');
}

is_deeply([ call($victim, $victims) ], [ 200, $victims, $token ],
    "after all this the victim's own token still serves");

done_testing();
