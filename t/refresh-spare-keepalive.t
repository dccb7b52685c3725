#!/usr/bin/perl

# The spare tokens of a second login are there when they are needed, a year later,
# too: they are refreshed like those in use, in their own time.  What Intuit refuses
# is dropped, and what it cannot answer just now is asked for an hour later; neither
# touches the tokens in use.  Two logins may bring one and the same refresh token:
# it is nobody's spare, as the second to use it would be refused.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my $t = Test::Intuit->new();
watch($t);

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF');
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;
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
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF


clock(0);

start_faked();

my $api = '/v3/company/-/companyinfo/9130347957983546';

# after such a time: so many refreshes more
sub refreshed {
    my ($forward, $count, $name) = @_;
    my $before = sent();

    clock($forward);
    $t->wait_until(sub { sent() >= $before + $count });
    is(scalar(sent()), $before + $count, $name);
}

# nothing comes: some rounds of every worker's timer go by
sub quiet {
    my ($forward, $name, $count) = @_;
    $count //= sent();
    my $until = time + 3;

    clock($forward);
    $t->wait_until(sub { time >= $until });
    is(scalar(sent()), $count, $name);
}

my ($hour, $day) = (60, 24 * 60);

sub signs_in {
    my ($user, %merge) = @_;
    $t->sim->config(clock_offset => now() - time);
    $t->sim->script({ kind => 'token', action => { merge => {
        x_refresh_token_expires_in => 86400, %merge } } });
    return $t->signed_in(realm => '9130347957983546', user => $user);
}

signs_in('ada@example.com');
clock($hour / 2);
signs_in('bob@example.com');

# a day's life at first, a hundred days' then

clock(11 * $hour);
refreshed(40, 1, 'half of its life: the pair in use is refreshed');
refreshed(40, 1, '... and forty minutes later its spare');
is(scalar(keys %{{ map { $_ => 1 } sent() }}), 2, '... with a token of its own');
ok(log_has('refresh of the spare tokens succeeded'), '... says the log');
refreshed(31 * $day, 2, '... both, month after month') for 1 .. 12;

# Intuit is down for the spare one only

my $before = sent();
$t->sim->script({ kind => 'token', match => { grant_type => 'refresh_token' },
    skip => 1, times => 1, action => { status => 503 } });
clock(31 * $day);
ok($t->wait_until(sub { log_has('spare tokens failed: server_error') }),
    'Intuit is down when it is the turn of the spare tokens');
quiet(0, '... which are not asked for again', $before + 2);
is(call()->status, 200, '... while the others serve');
quiet(50, '... not for an hour');
refreshed(15, 1, '... and then are');
ok(!log_has('are dropped'), '... none are lost');

# the spare ones serve after more than a year

clock(61);
$t->sim->reset('scripts');
answer({ status => 400, json => { error => 'invalid_grant' } });
is(call()->status, 200, 'the pair in use is refused: the spare takes over');
ok(log_has('goes on with its spare tokens'), '... says the log');

# a spare that Intuit refuses

signs_in('ada@example.com');
$t->sim->config(clock_offset => 0);
clock(11 * $hour);
answer({ status => 400, json => { error => 'invalid_grant' } });
refreshed(2 * $hour, 1, 'the new spare tokens are refused');
ok($t->wait_until(sub {
    log_has('spare tokens failed: invalid_grant, they are dropped') }),
    '... and dropped');
is(call()->status, 200, '... and the others serve');
quiet(13 * $hour, '... and nobody asks for them again');

# one and the same refresh token

my ($last) = (sent())[-1];
clock(31 * $day);
$t->wait_until(sub { (sent())[-1] ne $last });
$t->sim->reset('journal');
my ($current) = grep { $_->{refresh_state} eq 'current' }
    reverse $t->sim->tokens;
signs_in('carol@example.com', refresh_token => $current->{refresh_token});
refreshed(31 * $day, 1, 'the same token twice: used once');
quiet(0, '... and not again');

done_testing();
