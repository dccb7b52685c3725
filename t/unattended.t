#!/usr/bin/perl

# A cron job calls the QuickBooks API through hours, days and a year, without a
# session and without a browser: not one call fails, across refreshes, a new
# refresh token with each of them, a restart, a reload and a power cut.  Left
# alone for months, the connection is still there; what Intuit ends for good, at
# its absolute limit, is said so, and not asked for again and again.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my $t = Test::Intuit->new();
watch($t);

my $REALM = '9130347957983546';

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);

my $CONF = <<"CONF";
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
        scope               openid com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         $REALM;
        probe               off;

        state_path           %%DIR%%/state;
        encryption_key_file  %%DIR%%/key;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location = /connect {
            intuit_connect books;
        }

        location /v3/company/ {
            intuit_proxy books realm=$REALM;
            add_header X-Ends \$intuit_refresh_token_expires always;
        }
    }
}
CONF

my ($HOUR, $DAY) = (60, 24 * 60);
my $path = "/v3/company/$REALM/companyinfo/$REALM";

$t->sim->config(rotate_after => 0);
$t->conf($CONF);
forward(0);
start_faked();
connect_company();

# every five minutes for twelve hours

my %status;

for my $n (1 .. 144) {
    forward(5);

    $status{$t->get($path, -json => 1)->status}++;

    if ($n == 40) { $t->stop; start_faked() }
    if ($n == 80) { $t->reload($CONF) }
    if ($n == 120) { $t->crash; start_faked() }
}

is_deeply(\%status, { 200 => 144 }, 'twelve hours of calls, not one fails');
ok(sent() >= 12 && sent() <= 16, '... over ' . sent() . ' refreshes');
is(scalar(uniq(sent())), scalar(sent()), '... each with another refresh token');

# once a night, for weeks

%status = ();
for (1 .. 21) {
    forward($DAY);
    $status{$t->get($path, -json => 1)->status}++;
}
is_deeply(\%status, { 200 => 21 }, 'and every night for three weeks');

# left alone for a year; the token that the nightly one has got lives for 101 days

my $before = sent();

for (1 .. 13) {
    my $done = log_has('refresh succeeded');
    forward(30 * $DAY);
    $t->wait_until(sub { log_has('refresh succeeded') > $done });
    if ($_ == 6) { $t->crash; start_faked() }
}

ok(sent() - $before >= 12, 'a year without a call: kept alive '
    . (sent() - $before) . ' times');
is($t->get($path, -json => 1)->status, 200, '... and there it is');

# tokens of 24 hours, as Intuit's guide has them

$t->sim->config(refresh_ttl => 86400);
forward(61);
is($t->get($path, -json => 1)->status, 200, 'a refresh token of 24 hours');

for (1 .. 12) {
    my $done = log_has('refresh succeeded');
    forward(13 * $HOUR);
    $t->wait_until(sub { log_has('refresh succeeded') > $done });
}
is($t->get($path, -json => 1)->status, 200, '... a week later');

# the absolute limit

$t->sim->config(refresh_ttl => 8726400, hard_ttl => 40 * 86400);
connect_company();

my $r = $t->get($path, -json => 1);
ok(abs($r->header('X-Ends') - (now() + 40 * 86400)) < 120, 'its end is shown');

my $done = log_has('refresh succeeded');
forward(31 * $DAY);
$t->wait_until(sub { log_has('refresh succeeded') > $done });
$r = $t->get($path, -json => 1);
is($r->status, 200, '... a month before it');
ok(abs($r->header('X-Ends') - (now() + 9 * 86400)) < 120, '... it is no later');

forward(10 * $DAY);
$t->sim->reset('journal');
$r = $t->get($path, -json => 1);
is($r->status, 401, '... a day after it');
is($r->json->{error}, 'reconnect_required', '... says what to do');
$t->get($path, -json => 1) for 1 .. 3;

# the pair that was replaced is the spare one, and as old
my %asked;
$asked{$_}++ for sent();
is(join(' ', grep { $_ > 1 } values %asked), '',
    '... Intuit was asked once for each token');

connect_company();
is($t->get($path, -json => 1)->status, 200, 'and a new consent brings it back');

done_testing();


# an operator imports a refresh token
sub connect_company {
    my $token = $t->sim->issue(realm => $REALM,
        scope => 'openid com.intuit.quickbooks.accounting')->{refresh_token};

    my $r = $t->post('/connect', "realm=$REALM&refresh_token=$token", -json => 1,
        'Content-Type' => 'application/x-www-form-urlencoded');

    $r->status == 200 or die "not connected: ", $r->status, $r->body;
    $t->sim->reset('journal');
}

sub uniq {
    my %seen;
    return grep { !$seen{$_}++ } @_;
}
