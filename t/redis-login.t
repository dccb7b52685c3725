#!/usr/bin/perl

# The promise: several hosts that share a store are one.  A login that begins
# on one host and whose callback comes to another is a session on all of them;
# its company's connection as well; a logout is one on all of them within a
# second.
# The attack: a load balancer without sticky sessions; somebody who reads all
# that is in the store.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Hosts;
use Test::Intuit::Redis;

Test::Intuit::Redis->needed;

my $s = Test::Intuit->new(sim => 0, label => 'store');
my $redis = Test::Intuit::Redis->start(t => $s);

my ($t, $b, $c) = hosts(3, <<'EOC', values => { STORE => $redis->port });
load_module %%MODULE%%;
worker_processes 2;
error_log logs/error.log debug;

events {}

http {
    %%TEMP_PATHS%%
    access_log logs/access.log;

    intuit_store shared {
        server 127.0.0.1:%%STORE%%;
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
            add_header X-User $intuit_claim_email;
        }

        location /v3/company/ {
            auth_intuit books;
            intuit_proxy books;
        }

        location /books/ {
            rewrite ^/books(/.*) $1 break;
            intuit_proxy books realm=9130347957983546;
        }
    }
}
EOC

my $realm = '9130347957983546';
my $jar = $t->jar;

my $r = $t->get('/', -browser => 1, -jar => $jar);
is($r->status, 302, 'the first host sends the browser to Intuit');

my $callback = $t->consent($jar, $r->header('Location'), realm => $realm);

$r = $b->get($callback, -browser => 1, -jar => $jar,
    'Sec-Fetch-Site' => 'cross-site');
is($r->status, 302, 'the second one takes the callback');

for my $host ($c, $t, $b) {
    $r = $host->get('/', -browser => 1, -jar => $jar);
    is($r->status, 200, "signed in on $host->{label}");
    is($r->header('X-User'), 'ada@example.com', '... by name');

    is($host->get("/v3/company/-/companyinfo/$realm", -jar => $jar)->status,
        200, '... and its company is connected');
    is($host->get("/books/v3/company/-/companyinfo/$realm")->status, 200,
        '... for those without a session, too');
}

is($t->sim->count(kind => 'token'), 1, 'by one exchange');

# a reload

ok($b->reload, 'the second host is reloaded');
is($b->get('/', -jar => $jar)->status, 200, '... and goes on');

# what is in the store

my @keys = $redis->keys;
my @values = map { $redis->command('GET', $_) } @keys;

is(scalar(grep { /^intuit:[scaoqh]:[\w-]{43}$/ } @keys), scalar(@keys),
    'all keys are hashes, behind the prefix');
is(scalar(grep { /^intuit:s:/ } @keys), 1, 'one session');
is(scalar(grep { /^intuit:c:/ } @keys), 1, 'one connection');

for my $secret ($t->secrets, 'ada@example.com', $realm) {
    ok(!grep({ index($_ // '', $secret) >= 0 } @keys, @values),
        'nothing there can be read') or last;
}

my ($session) = grep { /^intuit:s:/ } @keys;
my $ttl = $redis->command('TTL', $session);
ok($ttl > 0 && $ttl <= 3600, 'a session ends there when it is idle');

# a second callback, on another host

$r = $c->get($callback, -browser => 1, -jar => $t->jar,
    'Sec-Fetch-Site' => 'cross-site');
is($r->status, 400, 'the code is of no use to another browser');
is($t->sim->count(kind => 'token'), 1, '... and is not sent again');

# logout

$r = $c->post('/intuit/logout', '', -jar => $jar->clone);
like($r->status, qr/^30[23]$/, 'a logout on one host');
ok(!$redis->command('EXISTS', $session), 'is one in the store');

for my $host ($c, $t, $b) {
    ok($host->wait_until(sub { $host->get('/', -jar => $jar)->status == 401 }),
        "and on $host->{label}");
}

is(scalar(grep { /^intuit:c:/ } $redis->keys), 1, 'the company stays connected');

done_testing;
