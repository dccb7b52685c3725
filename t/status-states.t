#!/usr/bin/perl

# The states of a company on the status page: connected, refresh failing, expiring
# soon, to be connected again; and that of the keys.  What needs somebody comes first,
# with Intuit's word and transaction id.  JSON by its schema in all of them.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;
use Test::Intuit::Schema;

use JSON::PP qw(decode_json);

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

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        refresh_keepalive   0;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location /v3/company/ {
            intuit_proxy books realm=$arg_realm;
        }

        location = /connect {
            intuit_connect books;
        }

        location = /tool {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location = /status {
            intuit_status;
        }
    }
}
CONF

clock(0);

start_faked();

my $schema = do {
    open my $fh, '<:raw', "$FindBin::Bin/../conf-examples/status.schema.json" or die $!;
    local $/;
    decode_json(<$fh>);
};

my @realms = ('9130347957983546', '4620816365041297150', '193514292156789');
my ($bakery, $joinery, $cycles) = @realms;

sub connect_company {
    my ($realm) = @_;
    my $token = $t->sim->issue(realm => $realm)->{refresh_token};
    my $r = $t->post('/connect', "realm=$realm&refresh_token=$token", -json => 1);
    is($r->status, 200, "$realm is connected") or diag($r->body);
}

# an API call, for which an expired token is refreshed
sub use_company {
    my ($realm) = @_;
    return $t->get("/v3/company/-/companyinfo/$realm?realm=$realm", -json => 1);
}

sub status {
    my ($name) = @_;
    my $r = $t->get('/status', -json => 1);
    my @wrong = problems($schema, $r->json);
    is("@wrong", '', "$name: as the schema says");
    return $r->json;
}

sub company {
    my ($name, $realm) = @_;
    my ($c) = grep { $_->{realm_id} eq $realm } @{ status($name)->{connections}{list} };
    return $c;
}

# the companies of the page, the first one first
sub page {
    my $body = $t->get('/status', -browser => 1)->body;
    return $body =~ m{<small>(\d+)<br>by books</small></th>}g;
}

$t->sim->config(hard_ttl => 157680000);
connect_company($_) for $bakery, $joinery;
$t->sim->config(refresh_ttl => 20 * 86400);
connect_company($cycles);

is(status('connected')->{providers}[0]{connections}{connected}, 3, 'all are connected');
is(status('connected')->{providers}[0]{keys}{state}, 'accepted',
    'keys that work are known without a probe');

# -- Intuit does not answer for one

$t->sim->script({ kind => 'token', times => 1, action => { status => 503 } });
clock(61);
is(use_company($joinery)->status, 503, 'a refresh fails');

my $c = company('failing', $joinery);
is($c->{state}, 'refresh_failing', 'the state says so');
is($c->{failures}, 1, '... how often');
is($c->{error}, 'server_error', '... why');
ok($c->{intuit_tid}, '... with a transaction id');
ok($c->{next_try}, '... and when it is tried again');
is((page())[0], $joinery, 'it comes first on the page');
like($t->get('/status', -browser => 1)->body,
    qr/refresh failing.*1 failed in a row, next try in \d+ seconds?.*server_error.*intuit_tid/s,
    '... with all of that');

clock(5);
is(use_company($joinery)->status, 200, 'later it works');
is(company('healed', $joinery)->{state}, 'connected', '... and is forgotten');

# -- the refresh token of one ends soon

clock(61);
is(use_company($cycles)->status, 200, 'refreshed for 20 days');
is(company('for long', $cycles)->{state}, 'connected', 'which is not soon');

my $days = (company('for long', $cycles)->{refresh_token_expires}
    - status('now')->{time}) / 86400;
ok($days > 19.9 && $days < 20.1, '... but is known');
ok(abs(company('consent', $cycles)->{refresh_token_hard_expires} - time - 157680000)
    < 86400, '... as is the end of the consent');

clock(16 * 1440);
$c = company('soon', $cycles);
is($c->{state}, 'expiring_soon', 'four days before it is');
is((page())[0], $cycles, '... and first');
like($t->get('/status', -browser => 1)->body, qr/expiring soon<[^C]*A refresh prolongs it/,
    '... with what helps');

# -- Intuit ends one

$t->sim->control('POST', '/revoke-all', { realm => $bakery });
clock(61);
is(use_company($bakery)->status, 401, 'the connection has ended');

$c = company('ended', $bakery);
is($c->{state}, 'reconnect_needed', 'somebody has to consent again');
is($c->{error}, 'invalid_grant', "... Intuit's word");
is_deeply([ (page())[0, 1] ], [ $bakery, $cycles ], 'the worst first');
like($t->get('/status', -browser => 1)->body,
    qr{has to connect it again\. <a href="/intuit/login\?return_to=%2Fstatus">},
    '... with the way to do it');

my $json = status('all kinds');
is_deeply($json->{providers}[0]{connections}, { reconnect_needed => 1,
    refresh_failing => 0, expiring_soon => 1, connected => 1 }, 'counted by state');
is($json->{health}{status}, 'ok', "one company's consent is no illness of nginx");
is($json->{counters}{refreshes_ended}, 1, 'the end is counted');
is($json->{counters}{refreshes_failed}, 1, '... the failure, too');
is($json->{counters}{refreshes}, 2, '... and what went well');
is($json->{counters}{api_refusals}, 0, 'the API has refused no token yet');

# -- the API refuses a token

$t->sim->script({ kind => 'api', times => 1, action => { status => 401 } });
is(use_company($joinery)->status, 200, 'a token that the API refuses is replaced');
$json = status('refused by the API');
is($json->{counters}{api_refusals}, 1, '... which is counted');
is($json->{counters}{replays}, 1, '... as is what was sent again');
is($json->{counters}{replays_refused}, 0, '... not in vain');

# -- the secret is changed at Intuit

$t->sim->script({ kind => 'token', times => 1,
    action => { status => 401, json => { error => 'invalid_client' } } });
clock(61);
use_company($joinery);
$json = status('keys refused');
is($json->{providers}[0]{keys}{state}, 'refused', 'keys that are refused');
ok($json->{providers}[0]{keys}{intuit_tid}, '... with a transaction id');
is_deeply($json->{health}, { status => 'failing', problems => ['keys_refused'] },
    '... are an illness');
my $body = $t->get('/status', -browser => 1)->body;
like($body, qr/Intuit refuses a client id or secret/, 'the page says it on top');
like($body, qr/check client_id and client_secret_file in [^ ]+nginx\.conf:\d+/,
    '... and where to look');

clock(3);
is(use_company($joinery)->status, 200, 'they are accepted again');
is(status('well again')->{health}{status}, 'ok', '... and all is well');

# -- the consent of one ends soon, its refresh token does not

$t->sim->config(hard_ttl => 40 * 86400, refresh_ttl => 101 * 86400);
clock(61);
is(use_company($joinery)->status, 200, 'refreshed, with a consent of 40 days');
clock(31 * 1440);
is(company('consent', $joinery)->{state}, 'expiring_soon', 'nine days before it is');
like($t->get('/status', -browser => 1)->body,
    qr{connect it again before the consent ends\. <a href="/intuit/login},
    '... and a refresh would not help');

done_testing();
