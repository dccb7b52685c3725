#!/usr/bin/perl

# An imported refresh token has been used, and perhaps replaced, before its company
# is proven.  If Intuit does not answer just then, what it gave is all that is left of
# the connection: it is kept, sealed, the operator is told so, and the proof is tried
# again until there is an answer, also after kill -9.  Until then the tokens serve
# nobody, and those of another company are dropped however late that comes out.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', 'c0ffee' x 10 . 'beef');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_limit off;

    intuit_provider books {
        environment          sandbox;
        config_url           %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url              %%SIM%%;
        client_id            sim-client-id;
        client_secret_file   %%DIR%%/secret;
        scope                openid com.intuit.quickbooks.accounting;
        redirect_uri         http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm          any;
        state_path           %%DIR%%/state;
        encryption_key_file  %%DIR%%/key;
        migrate_url          %%SIM%%/v2/oauth2/tokens/migrate;
        probe                off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location = /connect {
            intuit_connect books;
        }

        location = /migrate {
            intuit_migrate books;
        }

        location = /disconnect {
            intuit_disconnect books;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $other = '193514292156789';

my $mute = { kind => 'api', times => -1, action => { status => 503 } };

sub import_token {
    my ($token, $of) = @_;
    return $t->post('/connect', 'realm=' . ($of // $realm)
        . "&refresh_token=$token", -json => 1,
        'Content-Type' => 'application/x-www-form-urlencoded');
}

sub token {
    return $t->sim->issue(realm => $_[0], rotate_next => \1,
        scope => 'com.intuit.quickbooks.accounting')->{refresh_token};
}

sub api { $t->get("/v3/company/-/companyinfo/$realm", -json => 1)->status }

sub files { my @files = glob $t->dir . '/state/*.state'; return @files }

sub pending {
    my ($r, $name) = @_;
    is($r->status, 503, "$name: 503");
    is($r->json->{error}, 'not_proven_yet', '... with its word');
    like($r->json->{error_description}, qr/kept.*Do not send them again/,
        '... and what to do');
    like($r->header('Retry-After'), qr/^\d+$/, '... and when to look again');
}

# -- kept, and proven later

$t->sim->script($mute);
pending(import_token(token($realm)), 'CompanyInfo cannot be read');
is(api(), 403, 'nobody gets the tokens');
is(scalar(files()), 1, 'they are in a file');
is($t->sim->count(kind => 'token'), 1, 'the old one was used once');

$t->crash;
$t->sim->reset('journal');
$t->start;
ok($t->wait_until(sub { $t->sim->count(kind => 'api') }, 300),
    'after kill -9 the proof is tried again');
is(api(), 403, '... in vain, and still nobody gets them');

$t->sim->reset('scripts');
ok($t->wait_until(sub { api() == 200 }, 300), 'Intuit answers: connected');
is($t->sim->count(kind => 'token'), 0, '... with what it had given');
ok($t->wait_until(sub { files() == 1 }), '... and one file is left');

# -- of another company

$t->sim->script($mute);
my ($before) = map { $_->{headers}{authorization} }
    (api() && $t->sim->journal(kind => 'api'))[-1];
pending(import_token(token($other)), "another company's token");
$t->sim->reset('scripts');
ok($t->wait_log(qr/connect failed: realm_not_proven/), 'is dropped later');
ok($t->wait_until(sub { files() == 1 }), '... with its file');
is(api(), 200, 'the connection is as it was');
is(($t->sim->journal(kind => 'api'))[-1]{headers}{authorization}, $before,
    '... with its own token');

# -- its access token has ended when Intuit is back

$t->sim->reset('journal');
$t->sim->script([$mute, { kind => 'token', action => {
    merge => { expires_in => 1 } } }]);
pending(import_token(token($realm)), 'a token that lives shortly');
ok($t->wait_until(sub { $t->sim->count(kind => 'token') >= 2 }, 300),
    '... is tried again');
$t->sim->reset('scripts');
ok($t->wait_until(sub { grep { /connect succeeded/ } $t->log_lines }, 300),
    'is refreshed, and proven');
is(api(), 200, '... and serves');
ok(!(grep { /invalid_grant/ } $t->log_lines), 'no token was used twice');

# -- OAuth 1.0a

$t->sim->script($mute);
pending($t->post('/migrate', JSON::PP::encode_json({
    consumer_key => 'sim-consumer-key', consumer_secret => 'sim-consumer-secret',
    access_token => 'sim-oauth1-token', access_secret => 'sim-oauth1-secret',
}), -json => 1, 'Content-Type' => 'application/json'), 'a migration');
ok($t->wait_until(sub { files() == 2 }), 'is kept');

# -- and forgotten with the company

$t->sim->reset('scripts', 'journal');
my $r = $t->post('/disconnect', "realm=$realm", -json => 1,
    'Content-Type' => 'application/x-www-form-urlencoded');
is($r->json->{revoked}, JSON::PP::true(), 'disconnected');
ok($t->wait_until(sub { files() == 1 }), '... and what was kept is gone');
isnt(api(), 200, '... for good');

done_testing();
