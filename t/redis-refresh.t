#!/usr/bin/perl

# The promise: one refresh of a company's tokens over all hosts that share a
# store, however many requests come at once, and everybody goes on with the new
# token.
# The attack: Intuit gives out a new refresh token and the old one is dead at
# once; three hosts are asked in the same moment; the token endpoint is slow;
# who is at it is killed, with the lease; the store stands still meanwhile.
#
# Rows: F-RED-02, F-RED-07, F-RED-08, F-RED-09

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Crowd;
use Test::Intuit::Hosts;
use Test::Intuit::Redis;
use Test::Intuit::Refresh;

Test::Intuit::Redis->needed;
plan(skip_all => no_clock()) if no_clock();

my $N = $ENV{TEST_ALL} ? 1000 : 300;
my $REALM = '9130347957983546';
my $API = "/v3/company/-/companyinfo/$REALM";

my $s = Test::Intuit->new(sim => 0, label => 'store');
my $redis = Test::Intuit::Redis->start(t => $s);

my @hosts = hosts(3, <<'EOC', later => 1, values => { STORE => $redis->port });
load_module %%MODULE%%;
worker_processes 2;
env INTUIT_POINTS;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;
error_log logs/error.log info;

events {
    worker_connections 2048;
}

http {
    %%TEMP_PATHS%%
    access_log off;
    intuit_limit off;

    intuit_store shared {
        server           127.0.0.1:%%STORE%%;
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
        read_timeout         3s;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%% backlog=2048;
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

my $t = $hosts[0];
my $points = $t->dir . '/points';
mkdir $points or die "$points: $!";

# one clock for all of them

watch($t);
forward(0);

for my $host (@hosts) {
    local $ENV{INTUIT_POINTS} = $host == $hosts[2] ? $points : '';
    local @ENV{qw(LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE
        FAKETIME_DONT_FAKE_MONOTONIC)} = (Test::Intuit::Refresh::faketime(),
        $t->dir . '/clock', 1, 1);
    $host->start;
}

$t->sim->config(rotate_after => 0);
$t->signed_in(realm => $REALM);

sub everywhere {
    my ($count) = @_;
    return map { crowd($_, int($count / 3), $API) } @hosts;
}

sub expired {
    $t->sim->reset('journal');
    forward(90);
}

sub once {
    my ($name, @crowd) = @_;
    my ($status) = crowd_statuses(60, @crowd);

    is_deeply($status, { 200 => scalar @crowd }, "$name: all are served");
    is(scalar(sent()), 1, '... by one refresh');
}

sub none_replaced {
    is(scalar(grep { ($_->{status} // 0) >= 400 }
        $t->sim->journal(kind => 'token')), 0,
        '... and no token was sent that Intuit had replaced');
}

expired();
once('at once', everywhere($N));

expired();
answer({ barrier => 'slow' });
my @crowd = everywhere($N);
$t->sim->parked('slow');
$t->sim->release('slow');
once('a slow endpoint', @crowd);

# the store stands still while Intuit answers, and for longer than is waited

expired();
answer({ barrier => 'still', when => 'after' });
@crowd = everywhere(30);
$t->sim->parked('still');
$redis->signal('STOP');
$t->sim->release('still');

ok($t->wait_until(sub { grep { grep { /store.*timed out|timed out.*store/ }
    $_->log_lines } @hosts }), 'the store stands still');

$redis->signal('CONT');
my ($status) = crowd_statuses(60, @crowd);

is(scalar(grep { $_ != 200 && $_ != 503 } keys %$status), 0,
    'nobody is told anything but to wait');

for my $host (@hosts) {
    ok($host->wait_until(sub { $host->get($API)->status == 200 }),
        "then the company goes on, on $host->{label}");
}

none_replaced();

# a host that sees Intuit, and not the store

expired();
$redis->signal('STOP');
is($t->get($API, -json => 1)->status, 503, 'without the store there is no refresh');
is(scalar(sent()), 0, '... nothing was sent');
$redis->signal('CONT');
ok($t->wait_until(sub { $t->get($API)->status == 200 }), 'with it there is');
is(scalar(sent()), 1, '... one');

# who is at it is killed

sub killed_at {
    my ($point) = @_;
    expired();
    open my $file, '>', "$points/$point" or die "$points/$point: $!";
    close $file;

    my ($one) = crowd($hosts[2], 1, $API);
    ok($hosts[2]->replaced, "killed at $point");
    close $one;

    # the zone's own lease comes before that of the store

    my ($lease) = $redis->keys('intuit:l:*');
    cmp_ok($lease ? $redis->command('PTTL', $lease) : 0,
        $point eq 'lease-taken' ? '==' : '>', $point eq 'lease-taken' ? 0 : 8000,
        '... with a lease that is longer than its work can take');

    @crowd = map { crowd($_, 10, $API) } @hosts[0, 1];
    $redis->command('PEXPIRE', $lease, 1) if $lease;
    ($status) = crowd_statuses(60, @crowd);

    is_deeply($status, { 200 => scalar @crowd },
        '... when that is over, the other hosts go on');
    none_replaced();
}

for (qw(lease-taken shared-lease-taken before-request after-shared
    before-store after-store before-release))
{
    killed_at($_);
    is(scalar(sent()), 1, '... after one refresh');
}

# an answer that no other host has seen yet: the same token serves once more, as
# Intuit replaces it now and then only

$t->sim->config(rotate_after => 864000);

for (qw(answer-received before-shared)) {
    killed_at($_);
    cmp_ok(scalar(sent()), '<=', 2, '... after one refresh, or two');
}

$hosts[2]->allow(qr/exited on signal 9/);

done_testing;
