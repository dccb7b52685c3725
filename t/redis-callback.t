#!/usr/bin/perl

# The promise: a callback that comes twice, to two hosts that share a store, is
# answered as on one: the code is sent once, both get a session of their own, or
# both the same refusal; and none once one of the sessions has been ended.
# The attack: a load balancer that repeats what takes long, a browser's "Back";
# while the first one is at it, and afterwards.
#
# Rows: F-OP-20

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Crowd;
use Test::Intuit::Hosts;
use Test::Intuit::Redis;

Test::Intuit::Redis->needed;

my $s = Test::Intuit->new(sim => 0, label => 'store');
my $redis = Test::Intuit::Redis->start(t => $s);

my ($t, $b, $c) = my @hosts = hosts(3, <<'EOC', values => { STORE => $redis->port });
load_module %%MODULE%%;
worker_processes 2;
error_log logs/error.log info;

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
        allow_realm          9130347957983546;
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

        location = /connect {
            allow 127.0.0.1;
            deny all;
            intuit_connect books;
        }
    }
}
EOC

my $realm = '9130347957983546';

# asks $host for the callback, without waiting
sub ask {
    my ($host, $path, $jar) = @_;
    my $client = $host->connect;
    my $cookies = join '; ', map { "$_=" . $jar->get($_) } $jar->names;
    $client->send("GET $path HTTP/1.1\r\nHost: localhost\r\nCookie: $cookies\r\n"
        . "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: cross-site\r\n\r\n");
    return $client;
}

sub cookie { my ($value) = join("\n", $_[0]->header('Set-Cookie')) =~ /__Host-intuit=([\w-]{43})/; return $value }
sub signed_in { $_[0]->get('/', Cookie => "__Host-intuit=$_[1]")->status == 200 }

sub attempt {
    my ($who) = @_;
    my $jar = $t->jar;
    my $r = $t->get('/', -browser => 1, -jar => $jar);
    return ($jar, $t->consent($jar, $r->header('Location'), realm => $who));
}

# both at once, and one more afterwards

my ($jar, $path) = attempt($realm);
$t->sim->script({ kind => 'token', action => { barrier => 'held' } });

my @clients = map { ask($_, $path, $jar) } $b, $c;
$t->sim->parked('held');
$t->sim->release('held', open => 1);

my @answers = map { $_->response } @clients;
push @answers, ask($t, $path, $jar)->response;
my @sessions = map { cookie($_) } @answers;

is($_->status, 302, 'a callback is answered') for @answers;
is($_->header('Location'), $answers[0]->header('Location'), '... as the first one') for @answers;
is($t->sim->count(kind => 'token'), 1, 'the code was sent once');

my %different = map { ($_ // 'none') => 1 } @sessions;
is(scalar(keys %different), 3, 'each has a session of its own');

for my $host (@hosts) {
    ok(signed_in($host, $_), "... that is one on $host->{label}") for @sessions;
}

# one of them is ended: no more are made

like($b->post('/intuit/logout', '', Cookie => "__Host-intuit=$sessions[1]",
    Origin => 'http://localhost:' . $b->port, Host => 'localhost:' . $b->port)->status, qr/^30[23]$/, 'a logout');
ok($b->wait_until(sub { my ($o) = $redis->keys('intuit:o:*'); $redis->command('GET', $o) eq '' }),
    '... which the store knows');

$c->stop;
$c->start;
my $r = ask($c, $path, $jar)->response;
is($r->status, 400, 'a host that has yet to see the callback makes none');
is(cookie($r), undef, '... and sets no cookie');
is($t->sim->count(kind => 'token'), 1, '... nor does it send the code');

# a refusal is one on all hosts

($jar, $path) = attempt('193514292156789');
$t->sim->script({ kind => 'token', action => { barrier => 'no' } });
@clients = map { ask($_, $path, $jar) } $b, $c;
$t->sim->parked('no');
$t->sim->release('no', open => 1);
@answers = map { $_->response } @clients;

is($_->status, 403, 'a company that may not: refused') for @answers;
is(ask($t, $path, $jar)->response->status, 403, '... afterwards, too');
is($t->sim->count(kind => 'token'), 2, 'and that code was sent once');

# and so is a consent that connects a company

$jar = $t->jar;
$r = $b->get('/connect', -browser => 1, -jar => $jar);
$path = $t->consent($jar, $r->header('Location'), realm => $realm);
my @pages = map { ask($_, $path, $jar)->response } $b, $c;
is($_->status, 200, 'connected') for @pages;
is($pages[1]->body, $pages[0]->body, '... on the other host, too');
is($t->sim->count(kind => 'token'), 3, '... by one exchange');

done_testing;
