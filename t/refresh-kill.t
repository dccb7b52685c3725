#!/usr/bin/perl

# The attack: SIGKILL for the worker that is refreshing, at each step of it, and
# inside the zone while it holds the lock.  Intuit kills the old refresh token
# with its answer.  The promise: another worker goes on where it was stopped,
# Intuit is asked no more often than it must be, and what Intuit holds valid is
# what the module has: in its zone, and in its files after everything was
# killed.  Lost is only what had not arrived, and then the log says so.
#
# Rows: TK-17 F-PRC-01 F-DSK-02 F-DSK-05

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

use IO::Select;

plan(skip_all => no_clock()) if no_clock();

my $ROUNDS = $ENV{TEST_ALL} ? 10 : 1;

my $t = Test::Intuit->new();
watch($t);

my $REALM = '9130347957983546';
my $POINTS = $t->dir . '/points';

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);

$t->conf(<<"CONF");
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;
env INTUIT_POINTS=$POINTS;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_limit off;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;

        state_path           %%DIR%%/state;
        encryption_key_file  %%DIR%%/key;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%% reuseport;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=$REALM;
        }
    }
}
CONF

# in their order: how many token requests it takes, and whether Intuit's answer
# is lost when that worker is killed, or when everything is
my @STEPS = (
    [ 'lease-taken',     1 ],
    [ 'file-locked',     1 ],
    [ 'before-request',  1 ],
    [ 'request-sent',    2, 'worker' ],
    [ 'answer-received', 2, 'worker' ],
    [ 'answer-noted',    1, 'power' ],
    [ 'before-file',     1, 'power' ],
    [ 'file-written',    1, 'power' ],
    [ 'file-renamed',    1 ],
    [ 'file-synced',     1 ],
    [ 'before-store',    1 ],
    [ 'after-store',     1 ],
    [ 'before-release',  1 ],
    [ 'zone-locked',     1 ],
    [ 'zone-twice',      1, 'power' ],
    [ 'zone-exchange',   1, 'power' ],
    [ 'zone-exchanged',  1, 'power' ],
);

$t->allow(qr/exited on signal 9/);
$t->allow(qr/shared memory zone "intuit" was locked by/);

mkdir $POINTS or die "$POINTS: $!";
$t->write_file('html/index.html', 'hello');
$t->sim->config(rotate_after => 0);

forward(0);
start_faked();
$t->signed_in(realm => $REALM);

for my $round (1 .. $ROUNDS) {

    for (@STEPS) {
        my ($point, $requests, $lost) = @$_;

        my @clients = killed_at($point);
        worker_killed($point, $requests, ($lost // '') eq 'worker', @clients);
        power_failed($point);
    }

    for (@STEPS) {
        my ($point, undef, $lost) = @$_;
        next if $point !~ /^file/ && !$ENV{TEST_ALL};

        # who is killed there may be another than the one that refreshes, and
        # then the power fails at any moment
        next if $point eq 'zone-locked';

        killed_at($point);
        power_failed($point, $lost, 'at once');
    }
}

done_testing();


# an expired token, some clients, and the one that refreshes for them is killed
sub killed_at {
    my ($point) = @_;

    forward(61);
    $t->sim->reset('journal', 'scripts');

    if ($point ne 'request-sent') {
        $t->write_file("points/$point", '');

        my @clients = map { asks() } 1 .. 6;

        ok($t->wait_until(sub { !-e "$POINTS/$point" }), "killed at $point");
        return @clients;
    }

    answer({ barrier => 'sent', when => 'after' });

    my @clients = map { asks() } 1 .. 6;
    $t->sim->parked('sent');

    my ($owner) = map { /(\d+)#\d+: intuit asks, intuit job: refresh/ ? $1 : () }
        reverse $t->log_lines;

    ok(kill('KILL', $owner), "killed at $point");
    $t->sim->release('sent');
    return @clients;
}

sub worker_killed {
    my ($point, $requests, $lost, @clients) = @_;
    my $rebuilt = log_has('was built again');

    $t->replaced or die "no new worker";

    # the others go on at once, or when Intuit's time to answer is up

    my %status = statuses($lost, @clients);

    # those were the killed one's; if all were, somebody has to wait as they would
    delete $status{0};
    %status = statuses(0, asks()) if !%status && !$lost;

    if ($lost) {
        is(join(' ', grep { $_ ne 401 } keys %status), '', '... nobody is served');
        is(call()->status, 401, '... the answer is lost');
        ok(log_has('connection has ended: rotation_lost'), '... says the log');
        is(scalar(sent()), $requests, "... after $requests requests");
        $t->signed_in(realm => $REALM);
        return;
    }

    is(join(' ', grep { $_ ne 200 } keys %status), '', '... the others are served');
    is(call()->status, 200, '... and who comes later');
    is(used(), valid(), '... with the token that Intuit holds valid');
    is(scalar(sent()), $requests, "... after $requests request");

    # who has changed nothing yet leaves nothing to build
    is(log_has('was built again'), $point eq 'zone-locked' ? 0 : 1,
        '... the zone was built again, if it was to be')
        if $point =~ /^zone/ && !$rebuilt;
}

sub statuses {
    my ($lost, @clients) = @_;

    forward(1) if $lost || !$t->wait_until(sub {
        @clients == grep { IO::Select->new($_->socket)->can_read(0) } @clients
    }, 5);

    return map { ($_ ? $_->status : 0) => 1 }
        map { scalar $_->response } @clients;
}

sub power_failed {
    my ($point, $lost, $at_once) = @_;

    $t->crash;

    # another has gone on, and the power failed at any moment of that
    $lost ||= scalar(sent())
        if $at_once && $point =~ /^(lease-taken|file-locked|before-request)$/;

    start_faked();

    if ($lost) {
        my $status = call()->status;

        if ($status == 200) {
            # another worker was faster than the power cut
            is(used(), valid(), '... and then the power fails: it is there');
            return;
        }

        is($status, 401, '... and then the power fails: it is lost');
        ok(log_has('connection has ended: invalid_grant'), '... says the log');
        $t->signed_in(realm => $REALM);
        return;
    }

    is(call()->status, 200, '... and after the power failed');
    is(used(), valid(), '... with the token that Intuit holds valid');
    is(scalar(sent()), 1, '... after one request') if $point ne 'answer-received'
        && $point ne 'request-sent';
}

sub asks {
    my $c = $t->connect(timeout => 30);
    $c->send("GET /v3/company/-/companyinfo/$REALM HTTP/1.1\r\n"
        . "Host: localhost\r\nAccept: application/json\r\n"
        . "Connection: close\r\n\r\n");
    return $c;
}
