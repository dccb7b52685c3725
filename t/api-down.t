#!/usr/bin/perl

# The promise: when the API's host does not answer, a program gets JSON, a browser
# a page, with word, status and time like all errors of this module; where the
# operator has an error_page, that is used.
# The attack: nginx's own page in the place of it or behind it, and a connection
# that is out of step afterwards.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/sorry.html', "sorry\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    %%TEMP_PATHS%%
    log_format error '$status $intuit_error $upstream_status';
    access_log %%DIR%%/logs/access.log error;
    root %%DIR%%/html;

    intuit_limit off;
    proxy_read_timeout 2s;

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
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }

        location /pages/ {
            rewrite ^/pages(/.*) $1 break;
            intuit_proxy books realm=9130347957983546;
            error_page 502 504 /sorry.html;
        }

        location = /sorry.html { }
    }
}
CONF

my $realm = '9130347957983546';
my $api = "/v3/company/-/companyinfo/$realm";

$t->signed_in(realm => $realm);

sub ask {
    my ($action, $method, $path, @headers) = @_;
    $t->sim->reset('scripts');
    $t->sim->script({ kind => 'api', times => -1, action => $action });
    return $t->request($method, $path, @headers);
}

sub checked {
    my ($name, $status, $error, $r) = @_;
    my $json = $r->json;

    is($r->status, $status, "$name: $status");
    is($json->{error}, $error, "... $error");
    is($json->{status_code}, $status, '... in the body, too');
    like($json->{timestamp}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
        '... with the time');
    like($json->{error_description}, qr/may have been carried out/,
        '... and what it means');
    is($r->header('Content-Type'), 'application/json', '... as JSON');
    is($r->header('Cache-Control'), 'no-store', '... that nobody keeps');
    is($r->header('Content-Length'), length $r->body, '... and nothing else');
}

my $c = $t->connect;

for my $case ([ 'a reset', { rst => \1 }, 502, 'api_unavailable' ],
    [ 'no HTTP', { raw => "SSH-2.0-OpenSSH_9.2p1\r\n" }, 502, 'api_unavailable' ],
    [ 'silence', { hang => \1 }, 504, 'api_timeout' ],
    [ 'a header without end', { status => 200, headers => { 'X-Long' =>
        'x' x 100_000 } }, 502, 'api_unavailable' ])
{
    my ($name, $action, $status, $error) = @$case;

    checked("$name, GET", $status, $error, ask($action, 'GET', $api,
        -json => 1, -connection => $c));
    checked("$name, POST", $status, $error, ask($action, 'POST',
        '/v3/company/-/customer', -body => '{}', -connection => $c));

    my $r = ask($action, 'GET', $api, -browser => 1);
    is($r->status, $status, '... to a browser');
    like($r->header('Content-Type'), qr{^text/html}, '... a page');
    like($r->body, qr/<dd>\Q$error\E<\/dd>/, '... with the word');
    unlike($r->body, qr/<center>nginx/, '... and no other one');
    is(() = $r->body =~ /<html/g, 1, '... only one');

    is(ask($action, 'HEAD', $api, -json => 1)->status, $status, '... HEAD');
    is(ask($action, 'GET', "/pages$api", -json => 1)->body, "sorry\n",
        '... the page of an error_page');
}

is(ask({ status => 502, body => 'of a gateway' }, 'GET', $api,
    -connection => $c)->body, 'of a gateway', "Intuit's own is as it was");
is(ask({ status => 200, body => 'well' }, 'GET', $api,
    -connection => $c)->body, 'well', '... and the connection in step');

ok(scalar(grep { /^504 api_timeout 504/ } $t->log_lines('logs/access.log')),
    'the word is in a variable');
ok(scalar(grep { /\[error\].*intuit api_unavailable: Intuit's API cannot be reached right now, provider "books", status_code: 502/ }
    $t->log_lines), '... and in the log');

$t->sim->control('POST', '/down');
checked('nobody listens', 502, 'api_unavailable', $t->get($api, -json => 1));
$t->sim->control('POST', '/up');

done_testing();
