#!/usr/bin/perl

# The promise: while the store cannot be asked, nobody is signed out and nobody
# is let in: who was asked about a moment ago goes on, everybody else gets 503
# and keeps the cookie; and all is well when the store is back.  What nginx had
# just got from Intuit is not lost.
# The attack: the store is not there at the start, dies, hangs, refuses the
# password, has no memory left, forgets everything.
#
# Rows: F-RED-01, F-RED-02, F-RED-04, F-RED-05

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Hosts;
use Test::Intuit::Redis;

Test::Intuit::Redis->needed;

my $REALM = '9130347957983546';
my $API = "/v3/company/-/companyinfo/$REALM";
my $PASSWORD = 'a-password-of-the-store';

my $s = Test::Intuit->new(sim => 0, label => 'store');
$s->write_secret('password', $PASSWORD);

my ($t, $b) = hosts(2, <<'EOC', values => { STORE => $s->port('redis'), PASSWORD => $s->dir . '/password' });
load_module %%MODULE%%;
error_log logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log logs/access.log;

    intuit_store shared {
        server           127.0.0.1:%%STORE%%;
        password_file    %%PASSWORD%%;
        database         3;
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

sub page { my ($host, $jar) = @_; return $host->get('/', -jar => $jar, -browser => 1) }

# not there at the start

my $jar = $t->jar;
my $r = page($t, $jar);
is($r->status, 302, 'without a store a login can begin');

my $callback = $t->consent($jar, $r->header('Location'), realm => $REALM);
$r = $t->get($callback, -browser => 1, -jar => $jar);
is($r->status, 503, 'and cannot end');
is($r->header('Retry-After'), 5, '... for the moment');
is($t->sim->count(kind => 'token'), 0, '... the code was not sent');

my $redis = Test::Intuit::Redis->start(t => $s, requirepass => $PASSWORD);

$jar = $t->signed_in(realm => $REALM);
is(page($t, $jar)->status, 200, 'then it is there');
is(page($b, $jar)->status, 200, 'for all hosts');
is($redis->command('DBSIZE'), 0, 'in its own database');

# it dies

my $stranger = $t->signed_in(realm => $REALM);
$redis->stop;

for my $host ($t, $b) {
    is(page($host, $jar)->status, 200,
        "it dies: who was asked about goes on ($host->{label})");
}

$r = page($b, $stranger);
is($r->status, 503, 'who was not gets 503');
is($r->header('Set-Cookie'), undef, '... and keeps the cookie');
is(page($b, $b->jar)->status, 302, 'who is not signed in is asked to');

$r = $t->post('/intuit/logout', '', -jar => $jar->clone);
is($r->status, 503, 'a logout that the others cannot see is none');

# it is back, and has lost everything

$redis->run;

is($t->get($API)->status, 200, 'it is back and empty: the company is connected');
ok($t->wait_until(sub { $redis->command('SELECT', 3);
    my $n = () = map { @$_ } $redis->command('INFO', 'keyspace') =~ /db3:keys=(\d+)/ ? [ $1 ] : ();
    $n }), '... and written there again');
is($b->get($API)->status, 200, '... for all hosts');
is(page($b, $stranger)->status, 302, 'sessions are over: a login, no error');

# it hangs

$jar = $t->signed_in(realm => $REALM);
is(page($b, $jar)->status, 200, 'signed in again');
$redis->signal('STOP');
is(page($b, $jar)->status, 200, 'it hangs: who was asked about goes on');
is(page($b, $stranger)->status, 503, 'who was not gets 503');
$redis->signal('CONT');
ok($b->wait_until(sub { page($b, $stranger)->status == 302 }), 'until it is back');

# it refuses

$redis->command('CONFIG', 'SET', 'requirepass', 'another');
$redis->{options}{requirepass} = 'another';
$redis->command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
is(page($b, $stranger)->status, 503, 'another password: 503');
ok($b->wait_log(qr/intuit store "shared" answered "WRONGPASS": look at "user"/),
    'and the log says where to look');
$redis->command('CONFIG', 'SET', 'requirepass', $PASSWORD);
$redis->{options}{requirepass} = $PASSWORD;

# it is full

$redis->command('CONFIG', 'SET', 'maxmemory', 1);
is($t->login($t->jar, '/', realm => $REALM)->status, 503, 'no memory: no login');
ok($t->wait_log(qr/intuit store "shared" answered "OOM": it has no memory left/),
    'and the log says so');
$redis->command('CONFIG', 'SET', 'maxmemory', 0);
is(page($t, $t->signed_in(realm => $REALM))->status, 200, 'then there is');

done_testing;
