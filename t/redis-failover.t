#!/usr/bin/perl

# The promise: nginx stays with the server that takes writes, wherever it stands
# in the configuration, and goes to the replica when that has been promoted; a
# connection whose last write the replica had missed is written again.
# The attack: a replica that answers, but is behind; a failover that loses the
# rotated refresh token, whose predecessor Intuit would refuse.
#
# Rows: F-RED-03

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Hosts;
use Test::Intuit::Redis;
use Test::Intuit::Refresh;

Test::Intuit::Redis->needed;
plan(skip_all => no_clock()) if no_clock();

my $REALM = '9130347957983546';
my $API = "/v3/company/-/companyinfo/$REALM";

my $s = Test::Intuit->new(sim => 0, label => 'store');
my $primary = Test::Intuit::Redis->start(t => $s, name => 'primary');
my $replica = Test::Intuit::Redis->start(t => $s, name => 'replica',
    replicaof => '127.0.0.1 ' . $primary->port,
    'repl-diskless-sync-delay' => 0);

my ($t, $b) = my @hosts = hosts(2, <<'EOC', later => 1, values => { REPLICA => $replica->port, PRIMARY => $primary->port });
load_module %%MODULE%%;
error_log logs/error.log info;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events {}

http {
    %%TEMP_PATHS%%
    access_log logs/access.log;

    intuit_store shared {
        server           127.0.0.1:%%REPLICA%% 127.0.0.1:%%PRIMARY%%;
        connect_timeout  300ms;
        read_timeout     300ms;
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

watch($t);
forward(0);

for my $host (@hosts) {
    local @ENV{qw(LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE
        FAKETIME_DONT_FAKE_MONOTONIC)} = (Test::Intuit::Refresh::faketime(),
        $t->dir . '/clock', 1, 1);
    $host->start;
}

ok($s->wait_until(sub { $replica->command('INFO', 'replication')
    =~ /master_link_status:up/ }), 'there is a replica');

$t->sim->config(rotate_after => 0);

my $jar = $t->signed_in(realm => $REALM);
is($b->get('/', -jar => $jar)->status, 200, 'signed in on both hosts');
is($primary->command('DBSIZE'), 4, 'what is written is on the primary');
ok($s->wait_until(sub { $replica->command('DBSIZE') == 4 }), 'and comes to the replica');
ok($t->wait_log(qr/intuit store "shared" answered "READONLY": the next/),
    'and the log says why not on the first one');

# the replica misses what comes now

$replica->command('REPLICAOF', 'NO', 'ONE');
$replica->command('REPLICAOF', '127.0.0.1', '1');

forward(90);
is($t->get($API)->status, 200, 'a refresh');
is(scalar(sent()), 1, '... one');

my ($name) = $primary->keys('intuit:c:*');
isnt($primary->command('GET', $name), $replica->command('GET', $name),
    'which the replica has missed');

$primary->stop;
ok($t->wait_until(sub { $t->get('/', -jar => $jar)->status == 200 }),
    'without a server that takes writes, who is known goes on');

$replica->command('REPLICAOF', 'NO', 'ONE');

ok($t->wait_until(sub { $t->get($API)->status == 200 }), 'the replica is promoted');

select undef, undef, undef, 1;
is($t->get($API)->status, 200, 'and what it had missed');
ok($t->wait_until(sub { substr($replica->command('GET', $name), 0, 20) ge '00000000000000000002' }),
    '... is written again');

is($b->get($API)->status, 200, 'the other host goes on');

forward(90);
is($_->get($API)->status, 200, "a refresh later: $_->{label} goes on") for @hosts;

is(scalar(grep { ($_->{status} // 0) >= 400 } $t->sim->journal(kind => 'token')),
    0, 'no token was sent that Intuit had replaced');
is(scalar(sent()), 2, 'and there were two refreshes');
is($b->get('/', -jar => $jar)->status, 200, 'the session is there');

done_testing;
