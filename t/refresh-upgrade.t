#!/usr/bin/perl

# The attack: a binary upgrade in the middle of a refresh.  Two masters answer on
# one port, each with a zone of its own, and Intuit kills the old refresh token
# with its answer, so that a second refresh would cost the company its
# connection.  The promise: the files are what both go by.  One of them
# refreshes, everybody is served, and the new one knows the last token, whether
# the old one ends well or not.
#
# Rows: TK-16 F-RLD-05 F-DSK-06

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Crowd;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my $N = $ENV{TEST_ALL} ? 1000 : 200;

my $t = Test::Intuit->new();
watch($t);

my $REALM = '9130347957983546';
my $API = "/v3/company/-/companyinfo/$REALM";

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);

# what is not named is not in the environment of the second master
$t->conf(<<"CONF");
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;
env LD_PRELOAD;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events {
    worker_connections 4096;
}

http {
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
        listen 127.0.0.1:%%PORT_8080%% backlog=4096;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=$REALM;
            add_header X-Worker \$pid always;
        }
    }
}
CONF

$t->sim->config(rotate_after => 0);
forward(0);
start_faked(daemon => 1);
$t->signed_in(realm => $REALM);

my $rounds = $ENV{TEST_ALL} ? 5 : 1;

for my $round (1 .. $rounds) {

    my @old = $t->workers;

    # it begins in the middle of a refresh

    my @crowd = parked();
    ok($t->upgrade, 'USR2 in the middle of a refresh');
    push @crowd, crowd($t, $N / 2, $API);
    $t->sim->release('held');
    refreshed_once('USR2', @crowd);

    # both are there

    my %both = map { $_ => 1 } @old, $t->workers;
    my %seen;
    $t->wait_until(sub { $seen{call()->header('X-Worker')} = 1;
        (grep { $seen{$_} } @old) && grep { $seen{$_} } $t->workers });
    is(scalar(grep { !$both{$_} } keys %seen), 0, 'both masters answer');

    forward(61);
    $t->sim->reset('journal', 'scripts');
    refreshed_once('two masters', crowd($t, $N, $API));

    # it ends in the middle of another one

    @crowd = parked();
    $t->retire(linger => 1);
    push @crowd, crowd($t, $N / 2, $API);
    $t->sim->release('held');
    refreshed_once('QUIT', @crowd);
    ok($t->retired, 'the old one has ended');

    is(call()->status, 200, 'the new one goes on');
    is(used(), valid(), '... with the token that Intuit holds valid');

    # the power fails

    $t->crash;
    start_faked();
    is(call()->status, 200, 'and after the power failed');
    is(used(), valid(), '... with that token');
    is(scalar(sent()), 1, '... without a refresh');
}

done_testing();


sub parked {
    forward(61);
    $t->sim->reset('journal', 'scripts');
    answer({ barrier => 'held', when => 'after' });

    my @crowd = crowd($t, $N / 2, $API);
    $t->sim->parked('held');
    return @crowd;
}

sub refreshed_once {
    my ($name, @sockets) = @_;

    my ($status, undef, $odd) = crowd_statuses(60, @sockets);
    my %used = map { ($_->{headers}{authorization} =~ s/^Bearer //r) => 1 }
        grep { $_->{path} =~ /companyinfo/ } $t->sim->journal(kind => 'api');

    is_deeply($status, { 200 => $N }, "$name: all are served")
        or diag("not served: $_") for @$odd ? $odd->[0] : '';
    is(scalar(sent()), 1, '... after one refresh');
    is_deeply([ keys %used ], [ valid() ], '... with the new token');
}
