#!/usr/bin/perl

# The promise: when Intuit refuses a token before its time, one refresh cures it
# for all who come with it, and no GET sees the 401; none sees a part of it
# either.  A POST is sent a second time only if its requestid lets Intuit
# recognise it; others get the 401 as it is, and their own second try works.
# The attack: everybody refreshes, and Intuit refuses the second; an invoice is
# made twice.
#
# Rows: BF-10

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 3;

events { worker_connections 2048; }

http {
    %%TEMP_PATHS%%
    log_format api '$request_method $status "$upstream_status" '
                   '"$intuit_refresh_status"';
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
            access_log %%DIR%%/logs/api.log api;
            intuit_proxy books realm=9130347957983546;
            add_header X-Twice "$upstream_status";
        }

        # by session, after a rewrite that must not be done twice
        location /companyinfo/ {
            rewrite ^(.*)$ /v3/company/-$1 break;
            intuit_proxy books;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm);
my $info = "companyinfo/$realm";

sub refused { $t->sim->control('POST', '/expire-access', { realm => $realm }) }
sub refreshes { $t->sim->count(kind => 'token', grant_type => 'refresh_token') }
sub calls { $t->sim->journal(kind => 'api') }
sub clean { $t->sim->reset('journal', 'scripts') }

sub made {
    my $state = $t->sim->control('GET', '/state');
    return $state->{executions}{$realm}{Invoice} // 0;
}

my $invoice = '{"Line":[]}';

sub request {
    my ($method, $path, $body) = @_;
    return "$method /v3/company/-/$path HTTP/1.1\r\nHost: localhost\r\n"
        . "Accept: application/json\r\nConnection: close\r\n"
        . (defined $body ? 'Content-Length: ' . length($body) . "\r\n" : '')
        . "\r\n" . ($body // '');
}


# -- a crowd ------------------------------------------------------------------

clean();
refused();

# nobody is answered before all have asked
$t->sim->script({ kind => 'api', times => -1, match => { method => 'GET' },
    action => { barrier => 'crowd' } }, { kind => 'token',
    action => { barrier => 'refresh', rotate => \1 } });

my @crowd = map { $t->connect(timeout => 60) } 1 .. 100;
$_->send(request('GET', $info)) for @crowd;

$t->sim->parked('crowd', 100);
$t->sim->release('crowd', open => 1);
$t->sim->parked('refresh');
$t->sim->wait_for(kind => 'api', count => 100, answered => 1);
$t->sim->release('refresh');

my (%status, %body, %leaked);

for my $r (map { $_->response } @crowd) {
    $status{$r->status}++;
    $body{$r->body =~ s/"time":"[^"]*"//r}++;
    $leaked{join ',', $r->header('WWW-Authenticate')}++;
}

is_deeply(\%status, { 200 => 100 }, 'a hundred with a refused token: all 200');
is(refreshes(), 1, '... after one refresh');
is(scalar(keys %body), 1, '... with one and the same body');
is_deeply(\%leaked, { '' => 100 }, "... and nothing of Intuit's 401");
is(scalar(grep { $_->{status} == 401 } calls()), 100, '... which came');
is(scalar(calls()), 200, '... and each was sent twice');
$t->wait_until(sub { 100 == grep { /^GET/ } $t->log_lines('logs/api.log') });
is(scalar(grep { /^GET 200 "401 : 200" "replayed"$/ }
    $t->log_lines('logs/api.log')), 100, '... which the access log tells');


# -- after it, and around it --------------------------------------------------

clean();
my $r = $t->get("/v3/company/-/$info", -json => 1);
is($r->status, 200, 'later');
is(scalar(calls()), 1, '... once is enough');

refused();
clean();
$r = $t->get("/$info", -json => 1, -jar => $jar);
is($r->status, 200, 'by session, after a rewrite');
is_deeply([ map { $_->{path} } calls() ],
    [ ("/v3/company/$realm/$info") x 2 ], '... the same path twice');

for my $method (qw(HEAD OPTIONS)) {
    refused();
    clean();
    $t->sim->script({ kind => 'api', skip => 1, action => { status => 200,
        body => 'x' } });
    $r = $t->request($method, "/v3/company/-/$info");
    is($r->status, 200, "$method is sent again");
    is(scalar($r->header('X-Twice')), '401 : 200', '... once');
}


# -- what must not happen twice -----------------------------------------------

for my $case (
    [ 'a POST with requestid', 'POST', 'invoice?requestid=a1', 200 ],
    [ 'a POST without', 'POST', 'invoice', 401 ],
    [ 'an empty requestid', 'POST', 'invoice?requestid=', 401 ],
    [ 'two of them', 'POST', 'invoice?requestid=a&requestid=b', 401 ],
    [ 'another argument', 'POST', 'invoice?xrequestid=a1', 401 ],
    [ 'a DELETE', 'DELETE', 'invoice/1?requestid=a2', 401 ],
    [ 'a PUT', 'PUT', 'invoice?requestid=a3', 401 ])
{
    my ($name, $method, $path, $status) = @$case;
    my $twice = $status == 200 ? 2 : 1;
    my $before = made();

    refused();
    clean();
    $r = $t->request($method, "/v3/company/-/$path", -json => 1,
        -body => $invoice, 'Content-Type' => 'application/json');

    is($r->status, $status, "$name: $status");
    is(scalar(calls()), $twice, "... sent $twice times");
    is(refreshes(), 1, '... the token is refreshed');
    is(made() - $before, $twice - 1, '... and what was made');
    is(scalar(grep { $_->{body} ne $invoice } calls()), 0, '... of this body');

    next if $status == 200;

    like($r->header('WWW-Authenticate'), qr/invalid_token/,
        "... the 401 is Intuit's");
    is($r->json->{fault}{error}[0]{code}, '3200', '... as it was');

    $r = $t->request($method, "/v3/company/-/$path", -json => 1,
        -body => $invoice, 'Content-Type' => 'application/json');
    isnt($r->status, 401, '... a second try of the client is let in');
}

done_testing();
