#!/usr/bin/perl

# The promise: what a host has asked the store about is good for a moment: a
# page of many parts costs about one question, requests that come at once share
# one, and a session in use does not end for being idle on a host that it is not
# used on.
# The attack: pages with fifty parts, a hundred requests for one new session at
# once, a user who is always on the other host.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Crowd;
use Test::Intuit::Hosts;
use Test::Intuit::Redis;

Test::Intuit::Redis->needed;

my $PARTS = 50;
my $PAGES = 10;

my $s = Test::Intuit->new(sim => 0, label => 'store');
my $redis = Test::Intuit::Redis->start(t => $s);

my ($t, $b) = hosts(2, <<'EOC', values => { STORE => $redis->port });
load_module %%MODULE%%;
worker_processes 1;
error_log logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log off;

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
        }
    }
}
EOC

sub evals { return $redis->operations->{eval} // 0 }

# pages of many parts

my $jar = $t->signed_in(realm => '9130347957983546');
is($b->get('/', -jar => $jar)->status, 200, 'signed in on the other host');

$redis->command('CONFIG', 'RESETSTAT');
my ($asked, $good, $quick) = (0, 0, 0);

for (1 .. $PAGES) {
    my $before = evals();
    my $begun = Time::HiRes::time();

    $good += $b->get('/', -jar => $jar)->status == 200 for 1 .. $PARTS;

    next if Time::HiRes::time() - $begun > 0.8;

    $quick++;
    $asked += evals() - $before;
    select undef, undef, undef, 1;
}

is($good, $PARTS * $PAGES, 'all parts of all pages are served');

SKIP: {
    skip 'this machine is too busy', 1 if !$quick;

    diag(sprintf '%.3f questions a request', $asked / ($quick * $PARTS));
    cmp_ok($asked / ($quick * $PARTS), '<=', 0.05,
        'a page costs hardly more than one question');
}

# many at once, of somebody new to this host

$jar = $t->signed_in(realm => '9130347957983546');
my ($cookie) = $jar->header_for('/');

$redis->command('CONFIG', 'RESETSTAT');

my @sockets = map { $b->connect } 1 .. 100;
$_->send("GET / HTTP/1.1\r\nHost: localhost\r\nCookie: $cookie\r\nConnection: close\r\n\r\n")
    for @sockets;

is(scalar(grep { $_->response->status == 200 } @sockets), 100,
    'a hundred at once are served');
cmp_ok(evals(), '<=', 50, '... by far fewer questions: ' . evals());

# used there, so not idle here

my ($session) = grep { $redis->command('PTTL', $_) > 0 } $redis->keys('intuit:s:*');
$redis->command('EXPIRE', $_, 100) for $redis->keys('intuit:s:*');

ok($b->wait_until(sub { $b->get('/', -jar => $jar);
    grep { $redis->command('TTL', $_) > 100 } $redis->keys('intuit:s:*') }),
    'each question is a use of the session');

done_testing;
