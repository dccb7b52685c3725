#!/usr/bin/perl

# Two nginx over one state_path, as during a binary upgrade, and in it tokens that
# were imported and whose company Intuit does not prove yet: both try, and no
# refresh token is sent by the second one after the first one has.
# The attack: each answer of Intuit kills the token before, and the access token
# has ended whenever the proof is tried again.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new(label => 'one');
my $u = Test::Intuit->new(label => 'two', sim => 0);

my $REALM = '9130347957983546';
my $SIM = $t->sim->base;
my $STATE = $t->dir . '/state';
my $SECRET = $t->write_secret('secret', 'sim-client-secret');
my $KEY = $t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);

my $CONF = <<"CONF";
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

    intuit_limit off;

    intuit_provider books {
        environment         sandbox;
        config_url          $SIM/.well-known/openid_sandbox_configuration;
        api_url             $SIM;
        client_id           sim-client-id;
        client_secret_file  $SECRET;
        scope               com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;

        state_path           $STATE;
        encryption_key_file  $KEY;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location /v3/company/ {
            intuit_proxy books realm=$REALM;
        }

        location = /connect {
            intuit_connect books;
        }
    }
}
CONF


my @api = ("/v3/company/-/companyinfo/$REALM", -json => 1);

sub sent {
    return map { $_->{body} =~ /refresh_token=([^&]+)/ ? $1 : () }
        $t->sim->journal(kind => 'token');
}

$t->sim->config(access_ttl => 1, rotate_after => 0);
$t->sim->script({ kind => 'api', times => -1, action => { status => 503 } });

$t->conf($CONF)->start;

my $token = $t->sim->issue(realm => $REALM,
    scope => 'com.intuit.quickbooks.accounting')->{refresh_token};
my $r = $t->post('/connect', "realm=$REALM&refresh_token=$token", -json => 1,
    'Content-Type' => 'application/x-www-form-urlencoded');
is($r->json->{error}, 'not_proven_yet', 'tokens that wait for their proof');

$u->conf($CONF)->start;

# both have tried a few times

ok($t->wait_until(sub { sent() >= 4 }, 300), 'it is tried again');
$t->sim->reset('scripts');

ok($t->wait_until(sub { grep { $_->get(@api)->status == 200 } $t, $u }, 300),
    'Intuit answers: connected');
ok($t->wait_until(sub { 1 == (() = glob "$STATE/*.state") }, 300),
    '... and nothing waits any more');

my %sent;
$sent{$_}++ for sent();
is(scalar(grep { $_ > 1 } values %sent), 0, '... no token was sent twice');
is($t->sim->count(kind => 'token', status => 400), 0, '... nor refused');

# the other one gives up what is over, and knows the connection when it starts

sub over {
    return scalar grep { /was brought to an end by another nginx/ }
        map { $_->log_lines } $t, $u;
}

ok($t->wait_until(\&over, 300), 'the other one has nothing left to do');

for my $nginx ($t, $u) {
    $nginx->stop;
    $nginx->start;
    is($nginx->get(@api)->status, 200, 'it is connected in both');
}

$u->stop;
$u->finish;

done_testing();
