#!/usr/bin/perl

# The promise: a provider that gives out a new refresh token with each use, and
# takes one that comes twice for theft, has nothing to complain of: however many
# requests find an expired access token, over all workers and a reload, each
# refresh token is sent once.  The judge is npm's certified oidc-provider.
# The attack: a crowd on an expired token; a stolen refresh token that is used
# behind our back; an answer that is lost after the provider has rotated.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Oidc;
use Test::Intuit::Refresh;

my ($faketime) = glob '/usr/lib/*/faketime/libfaketime.so.1';

Test::Intuit::Oidc::needed();
plan(skip_all => 'libfaketime is not installed') if !$faketime;
plan(skip_all => 'not with AddressSanitizer')
    if ($ENV{TEST_VARIANT} // '') eq 'asan';

my $t = Test::Intuit->new(sim => 0);
watch($t);

my $secret = 'a-secret-of-the-test-client';
$t->write_secret('secret', $secret);

# the provider and nginx have one clock
clock(0);
local @ENV{qw(FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE
    FAKETIME_DONT_FAKE_MONOTONIC)} = ($t->dir . '/clock', 1, 1);

sub with_clock { local $ENV{LD_PRELOAD} = $faketime; return $_[0]->() }

my $op = with_clock(sub { Test::Intuit::Oidc->start(t => $t,
    client_id => 'test-client', client_secret => $secret, redirect_uri =>
    'http://localhost:' . $t->port(8080) . '/intuit/callback') });

my $conf = <<'CONF' =~ s/%%OP%%/$op->base/ger;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 4;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events { worker_connections 1024; }

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

    intuit_limit off;

    intuit_provider other {
        environment         sandbox;
        config_url          %%OP%%/.well-known/openid-configuration;
        api_url             %%OP%%;
        client_id           test-client;
        client_secret_file  %%DIR%%/secret;
        scope               openid com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         9130347957983546;
        probe               off;
    }

    server {
        # reuseport: the crowd goes to all workers
        listen 127.0.0.1:%%PORT_8080%% reuseport;

        location / {
            auth_intuit other;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy other realm=9130347957983546;
            add_header X-Worker $pid;
        }
    }
}
CONF

$t->conf($conf);
with_clock(sub { $t->start });

my $api = '/v3/company/-/companyinfo/9130347957983546';
my %workers;

sub signs_in {
    return $op->login($t->jar, '/', realm => '9130347957983546')->status;
}

sub refreshes {
    return grep { $_->{form}{grant_type} eq 'refresh_token' }
        $op->journal('/token');
}

sub asks {
    my $c = $t->connect(timeout => 30);
    $c->send("GET $api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . "Accept: application/json\r\n\r\n");
    return $c;
}

# The statuses of so many at once, while the provider lets a refresh wait.
sub crowd {
    my ($number, $meanwhile) = @_;
    my $before = refreshes();
    my %status;

    $op->hold;

    my @clients = map { asks() } 1 .. $number;
    $t->wait_until(sub { refreshes() > $before });
    $meanwhile->() if $meanwhile;
    $op->release;

    for my $r (map { $_->response } @clients) {
        $status{$r->status}++;
        $workers{$r->header('X-Worker') // 'none'} = 1;
    }

    return \%status;
}


# -- crowds -------------------------------------------------------------------

is(signs_in(), 302, 'a login with a company');
is(call()->status, 200, 'the API is open');

my ($login) = $op->journal('/token');
ok($login->{answer}{refresh_token}, 'there is a refresh token');

for my $round (1 .. 3) {
    clock(61);
    is_deeply(crowd(100), { 200 => 100 }, "crowd $round: all are served");
    is(scalar(refreshes()), $round, "crowd $round: after one refresh");
}

clock(61);
is_deeply(crowd(60, sub {
    ok($t->reload($conf, linger => 1), 'a reload in the middle');
}), { 200 => 60 }, 'all are served');

# before the end: nobody waits
clock(57);
is(call()->status, 200, 'a few minutes before the end');
ok($t->wait_until(sub { refreshes() == 5 && (refreshes())[-1]{answer} }),
    'there is a refresh beforehand');

cmp_ok(scalar(keys %workers), '>=', 4, 'all workers had their part');

my @all = refreshes();
my @next = ($login, @all);

is_deeply([ map { $_->{form}{refresh_token} } @all ],
    [ map { $_->{answer}{refresh_token} } @next[0 .. $#all] ],
    'each refresh was made with the token of the one before');

my %once = map { $_->{form}{refresh_token} => 1 } @all;
is(scalar(keys %once), scalar(@all), 'and no token was sent twice');
is(scalar(grep { $_->{error} } @all), 0, 'the provider has refused none');


# -- a stolen token -----------------------------------------------------------

clock(10);
is(call()->status, 200, 'the API is still open');

my $theft = $t->post('/token', 'grant_type=refresh_token&refresh_token='
    . $all[0]{form}{refresh_token}, -port => $op->port,
    Host => '127.0.0.1:' . $op->port,
    'Content-Type' => 'application/x-www-form-urlencoded',
    Authorization => $all[0]{authorization});

is($theft->json->{error}, 'invalid_grant',
    'a token that comes twice is seen by the provider');

clock(61);
my $r = call();
is($r->status, 401, 'which has ended the grant, of which we hear');
is($r->json->{error}, 'reconnect_required', 'and say what is to be done');
is((refreshes())[-1]{error}, 'invalid_grant', '... because it was refused');

is(signs_in(), 302, 'a login');
is(call()->status, 200, '... heals it');


# -- an answer that is lost ---------------------------------------------------

clock(61);
$op->hold;

my $before = refreshes();
my $client = asks();
$t->wait_until(sub { refreshes() > $before });
$op->release(lose => 1);

is($client->response->status, 503, 'an answer with a rotated token is lost');

clock(1);
$r = call();
is($r->status, 401, 'the old one is tried once more, which looks like theft');
is($r->json->{error}, 'reconnect_required', 'and ends the connection');
ok(log_has('connection has ended: rotation_lost'), '... for that reason');

call() for 1 .. 3;
is(scalar(refreshes()), $before + 2, 'it is not tried again and again');

is(signs_in(), 302, 'a login');
is(call()->status, 200, '... heals that, too');

$op->stop;

done_testing();
