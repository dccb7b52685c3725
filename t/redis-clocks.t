#!/usr/bin/perl

# The promise: hosts whose clocks differ by minutes share sessions, and refresh
# a company's tokens once: a lease lasts by the store's clock, and a token that
# one host takes for valid and Intuit does not is renewed.
# The attack: one host is five minutes ahead, one five minutes behind; they are
# asked at once, the one that is at it is killed, and each of them refreshes.
#
# Rows: F-RED-08, F-RED-10

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Crowd;
use Test::Intuit::Hosts;
use Test::Intuit::Redis;
use Test::Intuit::Refresh;

Test::Intuit::Redis->needed;
plan(skip_all => no_clock()) if no_clock();

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

events {}

http {
    %%TEMP_PATHS%%
    access_log logs/access.log;
    intuit_limit off;

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
        refresh_before       0s;
        connect_timeout      1s;
        read_timeout         3s;
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

my ($t, $ahead, $behind) = @hosts;
my %off = ($t => 0, $ahead => 300, $behind => -300);
my ($points, $minutes) = ($ahead->dir . '/points', 0);

mkdir $points or die "$points: $!";

# all clocks, and Intuit's, go on from there, each at its distance
sub later {
    $minutes += $_[0];

    for my $host (@hosts) {
        $host->write_file('clock.new', sprintf "%+d\n", 60 * $minutes + $off{$host});
        rename $host->dir . '/clock.new', $host->dir . '/clock' or die "clock: $!";
    }

    $t->sim->config(clock_offset => 60 * $minutes);
    $t->sim->reset('journal');
}

sub refused { scalar grep { ($_->{status} // 0) >= 400 } $t->sim->journal(kind => 'token') }

watch($t);
later(0);

for my $host (@hosts) {
    local $ENV{INTUIT_POINTS} = $host == $ahead ? $points : '';
    local @ENV{qw(LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE
        FAKETIME_DONT_FAKE_MONOTONIC)} = (Test::Intuit::Refresh::faketime(),
        $host->dir . '/clock', 1, 1);
    $host->start;
}

$t->sim->config(rotate_after => 0);
my $jar = $t->signed_in(realm => $REALM);

my %date = map { $_->{label} => $_->get('/', -jar => $jar)->header('Date') } @hosts;
is(scalar(keys %{ { reverse %date } }), 3, 'their clocks differ') or diag explain \%date;

for my $host (@hosts) {
    is($host->get('/', -jar => $jar)->status, 200, "signed in on $host->{label}");
    is($host->get($API)->status, 200, '... and connected');
}

# all at once

later(90);
my ($status) = crowd_statuses(60, map { crowd($_, 20, $API) } @hosts);
is_deeply($status, { 200 => 60 }, 'at once: all are served');
is(scalar(sent()), 1, '... by one refresh');

# each refreshes, and the others live with what it says of the time

for my $first (@hosts) {
    later(90);
    is($first->get($API)->status, 200, "$first->{label} refreshes");

    for my $minute (57, 2, 4, 3) {
        later($minute);

        for my $host (@hosts) {
            is($host->get($API)->status, 200, "... $minute minutes later: $host->{label}");
        }

        is(refused(), 0, '... no token was sent that Intuit had replaced');
        cmp_ok(scalar(sent()), '<=', 1, '... and at most one refresh was made');
    }
}

# the one ahead is killed with the lease, which does not seem to be over to it

for my $point (qw(shared-lease-taken after-shared)) {
    later(90);
    open my $file, '>', "$points/$point" or die "$points/$point: $!";
    close $file;

    my ($one) = crowd($ahead, 1, $API);
    ok($ahead->replaced, "killed at $point");
    close $one;

    my ($lease) = $redis->keys('intuit:l:*');
    my $left = $redis->command('PTTL', $lease);
    ok($left > 8000 && $left < 60000, '... the lease lasts by the store\'s clock') or diag $left;

    my @crowd = map { crowd($_, 5, $API) } $t, $behind;
    $redis->command('PEXPIRE', $lease, 1);
    ($status) = crowd_statuses(60, @crowd);
    is_deeply($status, { 200 => 10 }, '... then the others go on');
    is(scalar(sent()), 1, '... after one refresh');
    is(refused(), 0, '... with the newest token');
}

$ahead->allow(qr/exited on signal 9/);

done_testing;
