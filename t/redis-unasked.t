#!/usr/bin/perl

# The promise: a host knows the connections that others have made since before it
# was started, without anybody asking it for them: they are on its status page, it
# refreshes them before they end if nobody uses them, and it sees it when one is
# disconnected elsewhere.
# The attack: the host that has made them is dead by then; there are more of them
# than are read at a time.
#
# Rows: F-RED-08

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Hosts;
use Test::Intuit::Redis;
use Test::Intuit::Refresh;

Test::Intuit::Redis->needed;
plan(skip_all => no_clock()) if no_clock();

my $MORE = 40;
my $s = Test::Intuit->new(sim => 0, label => 'store');
my $redis = Test::Intuit::Redis->start(t => $s);

my ($t, $b) = hosts(2, <<'EOC', later => 1, values => { STORE => $redis->port });
load_module %%MODULE%%;
worker_processes 2;
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
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        server_name localhost;

        location / {
            auth_intuit books;
            root html;
        }

        location = /connect {
            intuit_connect books;
        }

        location = /disconnect {
            intuit_disconnect books;
        }

        location = /status {
            intuit_status format=json;
        }
    }
}
EOC

watch($t);
forward(0);

sub starts {
    my ($host) = @_;
    local @ENV{qw(LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE
        FAKETIME_DONT_FAKE_MONOTONIC)} = (Test::Intuit::Refresh::faketime(),
        $t->dir . '/clock', 1, 1);
    $host->start;
}

my @FORM = (-json => 1, 'Content-Type' => 'application/x-www-form-urlencoded');

# what a host's page shows: company => state
sub shown {
    my ($host) = @_;
    return map { $_->{realm_id} => $_->{state} }
        @{ $host->get("/status", -json => 1)->json->{connections}{list} };
}

sub shows {
    my ($name, $host, %wanted) = @_;
    my %shown;
    ok($host->wait_until(sub { %shown = shown($host);
        join(' ', map { "$_=$shown{$_}" } sort keys %shown)
            eq join(' ', map { "$_=$wanted{$_}" } sort keys %wanted) }, 60), $name)
        or diag explain \%shown;
}

my ($one, $two) = qw(9130347957983546 193514292156789);

starts($t);
$t->signed_in(realm => $_) for $one, $two;
shows('connected on the first host', $t, $one => 'connected', $two => 'connected');

starts($b);
shows('a host that is new shows both', $b, $one => 'connected', $two => 'connected');

# one is disconnected, and connected again

ok($t->post('/disconnect', "realm=$two", @FORM)->json->{disconnected}, 'one is disconnected');
shows('... on the other host as well', $b, $one => 'connected');
$t->signed_in(realm => $two);
shows('... and is there again', $b, $one => 'connected', $two => 'connected');

# more than are read at a time, and one that was forgotten before the start

my @more = map { 4000000000000 + $_ } 1 .. $MORE;

for my $realm (@more) {
    my $token = $t->sim->issue(realm => "$realm",
        scope => 'com.intuit.quickbooks.accounting')->{refresh_token};
    $t->post('/connect', "realm=$realm&refresh_token=$token", @FORM)->json->{connected}
        or die "$realm is not connected";
}

ok($t->post('/disconnect', "realm=$two", @FORM)->json->{disconnected}, 'it goes once more');

$b->stop;
starts($b);
shows('all that there are, after a restart', $b, map { $_ => 'connected' } $one, @more);
shows('... and on the first', $t, map { $_ => 'connected' } $one, @more);

# the other host is dead, and nobody uses them

$t->crash;
$t->sim->reset('journal');
forward(31 * 24 * 60);

ok($t->wait_until(sub { 1 + @more == grep { /intuit refresh succeeded/ } $b->log_lines }, 60),
    'a month later it has refreshed all of them');
is(scalar(sent()), 1 + @more, '... each once');
is(scalar(grep { ($_->{status} // 0) >= 400 } $t->sim->journal(kind => 'token')), 0,
    '... with their newest tokens');

starts($t);
shows('the first is back, and shows them', $t, map { $_ => 'connected' } $one, @more);

done_testing;
