#!/usr/bin/perl

# The attack: a state file cut at every byte, and with each of its bits flipped,
# thousands of them beside the good one and all claiming to be newer.  The
# promise: nginx starts, names each of them, uses the good one, and leaves the
# others as they are, also when it writes and when it starts again.
#
# Rows: F-DSK-03

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

use Digest::SHA;

plan(skip_all => no_clock()) if no_clock();

my $t = Test::Intuit->new();
watch($t);

my $REALM = '9130347957983546';
my $STATE = $t->dir . '/state';

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);

$t->conf(<<"CONF");
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

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
        scope               com.intuit.quickbooks.accounting;
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

$t->sim->config(rotate_after => 0);
forward(0);
start_faked();
$t->signed_in(realm => $REALM);
$t->stop;

my ($file) = glob "$STATE/*.state";
open my $fh, '<:raw', $file or die "$file: $!";
my $good = do { local $/; <$fh> };
my $length = length $good;

# each under a later generation of its own
my ($prefix) = $file =~ /^(.*)-[0-9a-f]{16}\.state$/ or die $file;
my $n = 0;

for my $at (0 .. $length - 1) {
    put(substr $good, 0, $at);

    for my $bit ($ENV{TEST_ALL} ? 0 .. 7 : $at % 8) {
        my $flipped = $good;
        substr($flipped, $at, 1) ^= chr(1 << $bit);
        put($flipped);
    }
}

cmp_ok($n, '>', 1000, "$n damaged files");
my $before = look();

start_faked();
is(unused(), $n, 'each of them is named');
is(call()->status, 200, '... and the good one is used');
is(look(), $before, '... and nothing is changed');

forward(61);
is(call()->status, 200, 'a refresh in the middle of them');
is(used(), valid(), '... with the token that Intuit holds valid');
is(look(), $before, '... changes nothing of them');

$t->crash;
start_faked();
is(unused(), 2 * $n, 'after a crash: named again');
is(call()->status, 200, '... and the new one is used');
is(used(), valid(), '... which is the newest');
is(scalar(sent()), 1, '... without a refresh');
is(look(), $before, '... nothing is changed');

done_testing();


sub put {
    my $path = sprintf '%s-%016x.state', $prefix, 0x1000 + $n++;
    open my $out, '>:raw', $path or die "$path: $!";
    print $out $_[0];
    close $out;
    chmod 0600, $path;
}

# all that was put there: names, times, content
sub look {
    my $sha = Digest::SHA->new(256);

    for my $i (0 .. $n - 1) {
        my $path = sprintf '%s-%016x.state', $prefix, 0x1000 + $i;
        open my $in, '<:raw', $path or return "no $path";
        $sha->add($path, join(' ', (stat $in)[2, 4, 7, 9]), do { local $/; <$in> });
    }

    return $sha->hexdigest;
}

sub unused { return log_has('intuit state file ".*" is not used, and left as it is') }
