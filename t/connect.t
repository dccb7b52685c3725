#!/usr/bin/perl

# intuit_connect (GET) connects a company by a consent at Intuit: the new tokens
# become the connection's current ones, the old ones its spare, and nobody is
# signed in by it.  Who may do so is for the location's guards to say, which
# company for allow_realm; a login that was begun elsewhere connects nothing.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

    intuit_limit off;

    intuit_provider staff {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_email         @example.com;
        probe               off;
    }

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         9130347957983546 4620816365041297150;
        cookie_name         __Host-intuit-books;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location = /staff/connect {
            auth_intuit staff;
            auth_intuit_require $intuit_claim_email;
            intuit_connect books;
        }

        location = /connect {
            intuit_connect books;
        }

        location = /closed {
            deny all;
            intuit_connect books;
        }

        location = /page {
            auth_intuit staff;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=$arg_company;
        }
    }
}
CONF

$t->write_file('html/page', "page\n");
$t->conf($conf)->start;

my $bakery = '9130347957983546';
my $joinery = '4620816365041297150';
my $cycles = '193514292156789';

sub call {
    my ($realm) = @_;
    my $r = $t->get("/v3/company/-/companyinfo/$realm?company=$realm",
        -json => 1);
    my ($last) = ($t->sim->journal(kind => 'api'))[-1];
    return ($r->status, $last && $last->{headers}{authorization});
}

sub connect_by {
    my ($path, $jar, %o) = @_;
    my $r = $t->get($path, -jar => $jar, -browser => 1);
    my $callback = $t->consent($jar, $r->header('Location'), %o);
    return $t->get($callback, -jar => $jar, -browser => 1);
}

# -- nobody signs in with this provider: /intuit/login is the other one's

{
    my $r = $t->get("/v3/company/-/companyinfo/$bakery?company=$bakery", -json => 1);
    is($r->status, 403, 'a company that is not connected yet');
    ok(!exists $r->json->{login_uri}, '... and no login that could help');
    ok($t->wait_log(qr/intuit not_connected: there is no connection, realm "$bakery"/),
        '... the log says which company');
}

# -- refused before anything begins

for (
    [ 'a page of another name', 403, '/connect', Host => 'evil.example' ],
    [ 'a closed location', 403, '/closed' ],
    [ 'a script of another site', 403, '/connect',
        'Sec-Fetch-Mode' => 'no-cors', 'Sec-Fetch-Site' => 'cross-site' ],
    [ 'a browser that looks ahead', 403, '/connect',
        'Sec-Purpose' => 'prefetch' ],
) {
    my ($name, $status, $path, @headers) = @$_;
    my $r = $t->get($path, -browser => 1, @headers);

    is($r->status, $status, "$name: $status");
    is(scalar(() = $r->header('Set-Cookie')), 0, 'nothing begins');
}

my $r = $t->request('PUT', '/connect', -json => 1);
is($r->status, 405, 'PUT is not for this');
is($r->header('Allow'), 'GET, POST', 'and the answer says what is');

# -- a consent

is((call($bakery))[0], 403, 'nobody has connected the company');

my $jar = $t->jar;
$r = connect_by('/connect', $jar, realm => $bakery);

is($r->status, 200, 'a page says that it is connected');
like($r->body, qr/Harbour Lane Bakery/, 'which company');
like($r->body, qr/$bakery/, 'with its id');
is(scalar(() = $jar->names), 0, 'nobody has signed in, and nothing is left');

my ($status, $first) = call($bakery);
is($status, 200, 'the API works');

# -- once more: the new tokens are the current ones, the old are the spare

$r = connect_by('/connect', $jar, realm => $bakery, user => 'bob@example.com');
is($r->status, 200, 'connected once more');

my $second;
($status, $second) = call($bakery);
is($status, 200, 'the API works');
isnt($second, $first, 'with the new tokens');
is($t->sim->count(kind => 'revoke'), 0, 'and nothing was revoked');

# -- a second company beside it, by a member of the staff

my $ada = $t->signed_in(path => '/page');
$r = connect_by('/staff/connect', $ada, realm => $joinery);
is($r->status, 200, 'a member of the staff connects another company');
like($r->body, qr/O&#39;Brien &amp; Sons &lt;Joinery&gt;/, 'its name is escaped');
is($t->get('/page', -jar => $ada)->status, 200, 'and stays signed in');
is((call($joinery))[0], 200, 'both companies');
is((call($bakery))[0], 200, 'side by side');

# -- a company that is not allowed, and one that is not proven

$r = connect_by('/connect', $jar, realm => $cycles);
is($r->status, 403, 'another company: 403');
like($r->body, qr/<dd>realm_not_allowed/, 'it is not allowed');
unlike($r->body, qr/Sign in again/, 'to sign in would not help');
is((call($cycles))[0], 403, 'and was not connected');

$r = $t->get('/connect', -jar => $jar, -browser => 1);
(my $callback = $t->consent($jar, $r->header('Location'), realm => $cycles))
    =~ s/realmId=\d+/realmId=$bakery/;
$r = $t->get($callback, -jar => $jar, -browser => 1);
is($r->status, 403, 'a company that Intuit does not confirm: 403');
is((call($bakery))[1], $second, "the company's own tokens stay");

# -- the consent of another browser

$r = $t->get('/connect', -jar => $jar, -browser => 1);
$callback = $t->consent($jar, $r->header('Location'), realm => $bakery);
is($t->get($callback, -jar => $t->jar, -browser => 1)->status, 400,
    "another browser's consent connects nothing");
is((call($bakery))[1], $second, 'the tokens stay');

$r = $t->get('/connect', -jar => $jar, -browser => 1);
$callback = $t->consent($jar, $r->header('Location'), deny => 1);
$r = $t->get($callback, -jar => $jar, -browser => 1);
is($r->status, 403, 'cancelled at Intuit: 403');

# -- what has no company cannot be connected

(my $none = $conf) =~ s/intuit_connect books/intuit_connect staff/;
($status, my $said) = Test::Intuit->new(sim => 0)->check_conf(
    $none =~ s/%%SIM%%/http:\/\/127.0.0.1:1/gr
          =~ s/%%DIR%%\/secret/@{[ $t->dir ]}\/secret/gr);
isnt($status, 0, 'a provider without a company is refused');
like($said, qr/"scope" has no company to connect by intuit_connect/,
    'and why is said');

done_testing();
