#!/usr/bin/perl

# The attack: a disk that fails in the moment in which the answer to a refresh is
# to be written, at each call: EIO, EDQUOT, ENOSPC, EROFS, and a sync that takes
# seconds; Intuit kills the old refresh token with that answer.  The promise: one
# [alert], no crash, the old file as it was, the new token goes on in memory, is
# written when the disk is back, and is there after a crash.  Nobody else waits.
#
# Rows: F-DSK-01 F-DSK-08

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

use Digest::SHA qw(sha256_hex);
use Time::HiRes qw(time);

plan(skip_all => no_clock()) if no_clock();
plan(skip_all => 'strace is not installed')
    if !grep { -x "$_/strace" } split /:/, $ENV{PATH};

my $t = Test::Intuit->new();
watch($t);

my $REALM = '9130347957983546';
my $STATE = $t->dir . '/state';

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);

$t->conf(<<"CONF");
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events {}

http {
    %%TEMP_PATHS%%
    access_log off;

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
        listen 127.0.0.1:%%PORT_8080%%;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /plain {
            return 200 plain;
        }

        location /v3/company/ {
            intuit_proxy books realm=$REALM;
        }
    }
}
CONF

$t->allow(qr/\[alert\].*intuit state_path ".*" cannot be used/);
$t->sim->config(rotate_after => 0);

forward(0);
start_faked();
$t->signed_in(realm => $REALM);

# the call, the error, what the log calls it; of the directory's sync the new
# file is there already
my @faults = (
    [ 'write', 'EDQUOT', 'write' ],
    [ 'write', 'ENOSPC', 'write' ],
    [ 'write', 'EIO', 'write' ],
    [ 'fsync', 'EIO', 'fsync' ],
    [ 'fsync', 'EDQUOT', 'fsync' ],
    [ 'renameat', 'EIO', 'rename' ],
    [ 'renameat', 'EROFS', 'rename' ],
    [ 'fsync', 'EIO', 'fsync directory', ':when=2+' ],
);

for (@faults) {
    my ($call, $error, $word, $when) = @$_;
    my %before = files();
    my $again = log_has('can be used again');

    forward(61);
    $t->sim->reset('journal');

    # only below the directory
    my $strace = attach($call, "error=$error" . ($when // ''),
        $call eq 'write' ? tmp() : ());

    my $alerts = log_has(qr/cannot be used \(\Q$word\E\)/);

    is(call()->status, 200, "$call fails with $error");
    is(used(), valid(), '... with the token that Intuit holds valid');
    is(log_has(qr/\[alert\].*cannot be used \(\Q$word\E\)/), $alerts + 1,
        '... one line says what is wrong');

    my %after = files();
    is(scalar(grep { ($after{$_} // '') ne $before{$_} } keys %before), 0,
        '... the old file is as it was');
    ok($t->wait_until(sub { !(() = glob "$STATE/*.tmp") }),
        '... nothing half is left');
    is(scalar(sent()), 1, '... after one refresh');

    detach($strace);
    ok($t->wait_until(sub { log_has('can be used again') > $again }),
        '... and it is written later');

    $t->crash;
    start_faked();
    is(call()->status, 200, '... and there after a crash');
    is(used(), valid(), '... with that token');
    is(scalar(sent()), 1, '... without a refresh');
}

# a sync that takes three seconds

forward(61);
$t->sim->reset('journal');
my $strace = attach('fsync', 'delay_enter=3000000');

my $client = $t->connect(timeout => 30);
$client->send("GET /v3/company/-/companyinfo/$REALM HTTP/1.1\r\n"
    . "Host: localhost\r\nConnection: close\r\n\r\n");
$t->sim->wait_for(kind => 'token', answered => 1);

my ($n, $longest, $start) = (0, 0, time);

while (time - $start < 2) {
    my $begin = time;
    $t->get('/plain')->body eq 'plain' or last;
    my $took = time - $begin;
    $longest = $took if $took > $longest;
    $n++;
}

ok($longest < 2, "a slow disk: nobody else waits ($n requests)");
is($client->response->status, 200, '... and who does is served in the end');
is(used(), valid(), '... with the token that Intuit holds valid');
detach($strace);

done_testing();


sub attach {
    my ($call, $how, @paths) = @_;
    my ($worker) = $t->workers;

    my $pid = $t->spawn($t->dir . '/logs/strace.log', 'strace', '-f', '-qq',
        '-o', $t->dir . '/trace', '-p', $worker, (map { ('-P', $_) } @paths),
        '-e', "trace=$call", '-e', "inject=$call:$how");

    my $attached = $t->wait_until(sub { traced($worker) });

    if (!$attached) {
        detach($pid);
        plan(skip_all => 'strace may not attach')
            if !Test::More->builder->current_test;
        die 'strace did not attach';
    }

    return $pid;
}

sub detach {
    my ($pid) = @_;
    kill 'TERM', $pid;
    waitpid $pid, 0;
}

# all threads of the process
sub traced {
    my ($pid) = @_;

    for my $path (glob "/proc/$pid/task/*/status") {
        open my $fh, '<', $path or return 0;
        return 0 if (join '', <$fh>) =~ /^TracerPid:\s+0$/m;
    }

    return 1;
}

# what the new file is called while it is written
sub tmp {
    my ($file) = glob "$STATE/*.state";
    return $file =~ s/-\w+\.state$/.tmp/r;
}

sub files {
    return map { my $path = $_; open my $fh, '<:raw', $path or die "$path: $!";
        local $/; ($path => sha256_hex(scalar <$fh>)) } glob "$STATE/*.state";
}
