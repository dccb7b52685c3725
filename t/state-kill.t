#!/usr/bin/perl

# The attack: SIGKILL at each step of writing a state file: before the sync,
# before the rename, before the directory's sync, before the older file goes.
# After a new start the connection works without a browser, from the old file
# or the new one, and nothing half is left.
#
# Rows: TK-17 F-PRC-01 F-DSK-02

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

plan(skip_all => 'strace is not installed')
    if !grep { -x "$_/strace" } split /:/, $ENV{PATH};

my $t = Test::Intuit->new();

my $REALM = '9130347957983546';
my $API = "/v3/company/-/companyinfo/$REALM";
my $STATE = $t->dir . '/state';

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);

$t->conf(<<"CONF")->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    %%TEMP_PATHS%%
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
        listen 127.0.0.1:%%PORT_8080%%;

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

$t->allow(qr/exited on signal 9/);
$t->signed_in(realm => $REALM);

# which call of a kind, and what it is; each thread counts its own
for my $step ([ 'fsync', 1, 'the sync of the file' ],
    [ 'renameat', 1, 'the rename' ], [ 'fsync', 2, 'the sync of the directory' ],
    [ 'unlinkat', 2, 'the removal of the older file' ])
{
    my ($call, $when, $what) = @$step;
    my ($worker) = $t->workers;

    my $strace = $t->spawn($t->dir . '/logs/strace.log', 'strace', '-f', '-qq',
        '-o', $t->dir . '/trace', '-p', $worker, '-e', "trace=$call",
        '-e', "inject=$call:signal=KILL:when=$when");

    my $attached = $t->wait_until(sub { traced($worker) });

    if (!$attached) {
        kill 'TERM', $strace;
        waitpid $strace, 0;
        plan(skip_all => 'strace may not attach') if !Test::More->builder->current_test;
        die "strace did not attach";
    }

    my $jar = $t->jar;
    my $r = $t->login($jar, '/', realm => $REALM);

    ok($t->wait_until(sub { !-e "/proc/$worker" }), "killed at $what");
    waitpid $strace, 0;

    $t->crash;
    $t->start;

    is($t->get($API, -json => 1)->status, 200, 'and connected');
    is(scalar(my @temp = glob "$STATE/*.tmp"), 0, 'nothing half is left');
}

is(scalar(my @said = grep { /is not used/ } $t->log_lines('logs/error.log')), 0,
    'every file opens');

$t->signed_in(realm => $REALM);
is(scalar(my @files = glob "$STATE/*.state"), 1, 'and the next save clears up');

done_testing();


# all threads of the process
sub traced {
    my ($pid) = @_;

    for my $path (glob "/proc/$pid/task/*/status") {
        open my $fh, '<', $path or return 0;
        return 0 if (join '', <$fh>) =~ /^TracerPid:\s+0$/m;
    }

    return 1;
}
