#!/usr/bin/perl

# The promise: a host that is cut off from Intuit, or from the store, ends no
# connection and keeps no lease: it says 503 and to wait, and goes on with what
# another host has got as soon as it can see that.
# The attack: only one of two hosts sees Intuit, by a way that refuses or is
# silent, and the one that does not is asked first; only one of them sees the
# store, and the other one, whose refresh token Intuit has replaced meanwhile,
# sees Intuit.
#
# Rows: F-RED-01, F-RED-07, F-RED-09

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Hosts;
use Test::Intuit::Redis;
use Test::Intuit::Refresh;
use Test::Intuit::Tamper;

Test::Intuit::Redis->needed;
plan(skip_all => no_clock()) if no_clock();

my $REALM = '9130347957983546';
my $API = "/v3/company/-/companyinfo/$REALM";

my $s = Test::Intuit->new(sim => 0, label => 'store');
my $redis = Test::Intuit::Redis->start(t => $s);

# each host has ways of its own to the store and to Intuit's token endpoint

my ($t, $b) = my @hosts = hosts(2, <<'EOC', later => 1);
load_module %%MODULE%%;
error_log logs/error.log info;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events {}

http {
    %%TEMP_PATHS%%
    access_log logs/access.log;
    intuit_limit off;

    intuit_store shared {
        server           127.0.0.1:%%PORT_store%%;
        connect_timeout  500ms;
        read_timeout     500ms;
    }

    intuit_provider books {
        environment          sandbox;
        config_url           %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url              %%SIM%%;
        client_id            sim-client-id;
        client_secret_file   %%DIR%%/client_secret;
        scope                openid email com.intuit.quickbooks.accounting;
        redirect_uri         http://localhost:%%FRONT%%/intuit/callback;
        allow_realm          any;
        probe                off;
        store                shared;
        encryption_key_file  %%KEY%%;
        refresh_before       0s;
        connect_timeout      1s;
        read_timeout         1s;
        session_timeout      30d;
        session_idle_timeout 30d;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        server_name localhost;

        location / {
            auth_intuit books;
            root html;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
EOC

my (%intuit, %store);

watch($t);
forward(0);

for my $host (@hosts) {
    my $way = $host->port('intuit');

    $intuit{$host} = Test::Intuit::Tamper->start(t => $host, name => 'intuit',
        port => $way, to => $t->sim->port);
    $store{$host} = Test::Intuit::Tamper->start(t => $host, name => 'store',
        port => $host->port('store'), to => $redis->port);

    # its worker reads this once a day

    $t->sim->reset('scripts');
    $t->sim->script({ kind => 'discovery', times => -1, action => { merge => {
        token_endpoint => "http://127.0.0.1:$way/oauth2/v1/tokens/bearer" } } });

    local @ENV{qw(LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE
        FAKETIME_DONT_FAKE_MONOTONIC)} = (Test::Intuit::Refresh::faketime(),
        $t->dir . '/clock', 1, 1);
    $host->start;

    $t->sim->config(rotate_after => 0);
    $host == $t ? $t->signed_in(realm => $REALM) : expired();
    is(asks($host)->status, 200, "$host->{label} reads where its way begins");
}

sub asks { my ($host) = @_; return $host->get($API, -json => 1) }

sub expired {
    forward(90);
    $t->sim->reset('journal');
}

sub refused { scalar grep { ($_->{status} // 0) >= 400 } $t->sim->journal(kind => 'token') }

sub unharmed {
    my ($name) = @_;
    is(scalar(sent()), 1, "... one refresh ($name)");
    is(refused(), 0, '... with no token that Intuit had replaced');
    is(scalar(grep { grep { /connection has ended/ } $_->log_lines } @hosts), 0,
        '... and the connection has not ended');
}

my $jar = $t->signed_in(realm => $REALM);

for my $host (@hosts) {
    expired();
    is(asks($host)->status, 200, "$host->{label} refreshes, by its own way");
}

# cut off from Intuit, and not from the store

for my $cut (qw(refused silent)) {
    expired();
    $cut eq 'silent' ? $intuit{$t}->signal('STOP') : $intuit{$t}->stop;

    my $r = asks($t);
    is($r->status, 503, "Intuit is $cut on one host: it says 503");
    cmp_ok($r->header('Retry-After') // 0, '>', 0, '... and to wait');
    is($r->json->{error}, 'temporarily_unavailable', '... no more than that');
    is(scalar(sent()), 0, '... nothing has come to Intuit');
    ok($t->wait_until(sub { !$redis->keys('intuit:l:*') }),
        '... and it gives the lease back');
    is($t->get('/', -jar => $jar)->status, 200, '... nobody is signed out');

    # what was sent may have come to Intuit: then nobody tries at once

    clock(2) if $cut eq 'silent';
    is(asks($b)->status, 200, '... the other host goes on');
    my $token = used();
    is($token, valid(), '... with a new token');

    ok($t->wait_until(sub { asks($t)->status == 200 }),
        '... and then the first one, without Intuit');
    is(used(), $token, '... with that token');
    unharmed($cut);

    $intuit{$t}->stop;
    $intuit{$t}->run;
}

# cut off from the store, and not from Intuit

for my $cut (qw(refused silent)) {
    expired();
    $cut eq 'silent' ? $store{$t}->signal('STOP') : $store{$t}->stop;

    is(asks($t)->status, 503, "the store is $cut on one host: it says 503");
    is(scalar(sent()), 0, '... and asks Intuit nothing');

    is(asks($b)->status, 200, '... the other host refreshes');
    my $token = used();

    is(asks($t)->status, 503, '... the replaced token is not tried');
    unharmed($cut);

    $store{$t}->stop;
    $store{$t}->run;

    ok($t->wait_until(sub { asks($t)->status == 200 }), '... until the store is seen again');
    is(used(), $token, '... with what the other host has got');
    unharmed('then');
}

# what one host has put off is not put off on the other one

expired();
$intuit{$t}->stop;

for (1 .. 3) {
    is(asks($t)->status, 503, 'cut off from Intuit, and asked again and again');
    clock(2);
}

is(asks($b)->status, 200, '... the other host goes on');
unharmed('asked again');
$intuit{$t}->run;

done_testing;
