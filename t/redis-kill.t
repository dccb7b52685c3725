#!/usr/bin/perl

# The attack: SIGKILL for the worker that refreshes, at each step of it, on a host
# that shares a store with another one and has state files of its own; and then
# for all of that host.  Intuit kills the old refresh token with its answer.  The
# promise: what has arrived on a host is written to the store by its next worker,
# or after its start, before another host asks Intuit with the old one; who waits
# on the other host does not wait for the end of the dead one's lease.  Lost is
# only what had not arrived, and then the log says so.
#
# Rows: TK-17, F-RED-08, F-PRC-01

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

my ($t, $b, $c) = my @hosts = hosts(3, <<'EOC', later => 1, values => { STORE => $redis->port });
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
        state_path           %%DIR%%/state;
        encryption_key_file  %%KEY%%;
        connect_timeout      1s;
        read_timeout         10s;
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

# one has no files

$c->write_file('nginx.conf', $c->read_file('nginx.conf') =~ s/^\s*state_path .*\n//mr);

for my $host ($b, $c) {
    mkdir $host->dir . '/points' or die "points: $!";
}

watch($t);
forward(0);

sub starts {
    my ($host) = @_;
    local $ENV{INTUIT_POINTS} = $host == $t ? '' : $host->dir . '/points';
    local @ENV{qw(LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE
        FAKETIME_DONT_FAKE_MONOTONIC)} = (Test::Intuit::Refresh::faketime(),
        $t->dir . '/clock', 1, 1);
    $host->start;
}

# an expired token, and who refreshes it is killed: with the clients of the other
# host, who come then
sub killed_at {
    my ($point, $host) = (@_, $b);
    lease_over();
    forward(90);
    $t->sim->reset('journal');
    $host->write_file("points/$point", '');

    my ($one) = crowd($host, 1, $API);
    ok($host->replaced, "killed at $point, on $host->{label}");
    close $one;

    # without Intuit's answer its lease has to end; with it nobody waits for that

    if (sent()) {
        $redis->command('PEXPIRE', $_, 600000) for $redis->keys('intuit:l:*');
    } else {
        lease_over();
    }

    return crowd($t, 5, $API);
}

# the dead one's lease ends by itself, some time
sub lease_over {
    $redis->command('DEL', $_) for $redis->keys('intuit:l:*');
}

sub served {
    my ($name, @crowd) = @_;
    my ($status) = crowd_statuses(60, @crowd);
    is_deeply($status, { 200 => scalar @crowd }, "... $name");
}

sub once {
    is($_->get($API)->status, 200, "... and who comes later ($_->{label})") for @hosts;
    is(used(), valid(), '... with the token that Intuit holds valid');
    is(scalar(sent()), 1, '... after one refresh');
    is(scalar(grep { ($_->{status} // 0) >= 400 } $t->sim->journal(kind => 'token')), 0,
        '... and no token was sent that Intuit had replaced');
}

starts($_) for @hosts;
$t->sim->config(rotate_after => 0);
$t->signed_in(realm => $REALM);
is($_->get($API)->status, 200, "connected on $_->{label}") for @hosts;

for my $point (qw(lease-taken file-locked shared-lease-taken before-request)) {
    served('then another one does it', killed_at($point));
    once();
}

my @ARRIVED = qw(answer-noted before-file file-written file-renamed file-synced
    before-shared after-shared before-store after-store before-release);

for my $point (@ARRIVED) {
    served('the other host gets what had arrived', killed_at($point));
    once();
}

for my $point (grep { !/file/ } @ARRIVED) {
    served('so it is without files', killed_at($point, $c));
    once();
}

# all of it is killed

for my $point (grep { /^file-(?:renamed|synced)|shared/ } @ARRIVED) {
    killed_at($point);
    $b->crash;
    starts($b);
    ok($t->wait_until(sub { $t->get($API)->status == 200 }, 60),
        '... and the host after it: it is there again');
    once();
}

# nobody had it

killed_at('answer-received');
lease_over();
ok($t->wait_until(sub { $t->get($API)->status == 401 }, 60), '... the answer is lost');
ok($t->wait_until(sub { $b->get($API)->status == 401 }, 60), '... on both');
ok((grep { /connection has ended: (?:rotation_lost|invalid_grant)/ }
    map { $_->log_lines } @hosts), '... says the log');
$t->signed_in(realm => $REALM);
ok($b->wait_until(sub { $b->get($API)->status == 200 }), 'connected again');

$_->allow(qr/exited on signal 9/) for $b, $c;

done_testing;
