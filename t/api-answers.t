#!/usr/bin/perl

# What Intuit's API answers is passed on as it is, redirects and errors among
# it, but no cookie of ours; and bodies go there as they came.
#
# Rows: BF-04 BF-11 BF-13 NGX-B1 NGX-P3

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

use Digest::SHA qw(sha256_hex);

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    intuit_limit off;
    client_max_body_size 8m;
    proxy_set_header Host $host;
    gzip on;
    gzip_types *;
    gzip_min_length 1;

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

        location /v3/ {
            intuit_proxy books;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm, path => '/index.html');

sub api { $t->sim->journal(kind => 'api') }
sub reset_all { $t->sim->reset('journal', 'scripts') }

my $r;

# -- answers ------------------------------------------------------------------

for my $case (
    [ { fault => '3100', format => 'xml' }, 403 ],
    [ { status => 429, headers => { 'Retry-After' => '37' } }, 429 ],
    [ { fault => '2020' }, 400 ], [ { fault => '610', format => 'xml' }, 400 ],
    [ { status => 503, headers => { 'Retry-After' => '5' }, body => 'x' }, 503 ],
    [ { redirect => 'http://evil.example/x' }, 302 ],
    [ { redirect => $t->sim->base . '/v3/company/1/x' }, 302 ])
{
    my ($action, $status) = @$case;

    reset_all();
    $t->sim->script({ kind => 'api', action => $action });
    $r = $t->get('/v3/company/-/query', -jar => $jar);

    is($r->status, $status, "the API's $status is passed on")
        or diag $r->raw;
    is($r->header('Retry-After'), $action->{headers}{'Retry-After'},
        '... with Retry-After') if $action->{headers};
    is($r->header('Location'), $action->{redirect}, '... not followed')
        if $action->{redirect};
    is(scalar(api()), 1, '... asked once');
    ok(defined $r->header('intuit_tid'), '... with its intuit_tid')
        if $action->{fault};
}

reset_all();
$t->sim->script({ kind => 'api', action => { status => 200, body => 'x',
    headers => { 'Set-Cookie' => [ 'a=1; Path=/', '__Host-intuit=evil; Path=/',
        ' __Host-intuit =evil', '=__Host-intuit=evil', '= __Host-intuit=evil',
        '__Host-intuit-login-x=evil', '__Host-intuit-tries=1', '__Host-intuit',
        '__host-intuit=2', '__Host-intuit2=3', 'b=__Host-intuit=4' ] } } });
$r = $t->get('/v3/company/-/query', -jar => $jar->clone);

is_deeply([ $r->header('Set-Cookie') ], [ 'a=1; Path=/', '__host-intuit=2',
    '__Host-intuit2=3', 'b=__Host-intuit=4' ],
    'the API sets no cookie of ours, but others');


# -- bodies -------------------------------------------------------------------

for my $size (0, 1, 8192, 1_000_000) {
    my $body = join '', map { chr(33 + ($_ * 7 + int($_ / 91)) % 90) } 1 .. $size;
    my $chunked = join '', (map { sprintf("%x\r\n%s\r\n", length, $_) }
        unpack '(a70000)*', $body), "0\r\n\r\n";

    for my $case ([ 'whole', $body ],
        [ 'in chunks', $chunked, 'Transfer-Encoding' => 'chunked',
          'Content-Length' => undef ],
        [ 'expected', $body, 'Expect' => '100-continue' ])
    {
        my ($name, $text, @headers) = @$case;

        reset_all();
        $t->sim->script({ kind => 'api', action => { status => 200,
            body => 'x' } });
        $r = $t->post('/v3/company/-/upload', $text, -jar => $jar, @headers,
            'Content-Type' => 'application/octet-stream');
        my ($call) = api();

        is($r->status, 200, "a body of $size bytes, $name");
        is(sha256_hex($call->{body}), sha256_hex($body), '... arrives as it is');
    }
}


# -- plain use ----------------------------------------------------------------

reset_all();
$t->sim->script(map { { kind => 'api', action => { status => 200,
    body => 'x' x 2000, headers => { 'Content-Type' => 'text/plain',
    'Accept-Ranges' => 'bytes' } } } } 1 .. 3);

$r = $t->request('HEAD', '/v3/company/-/query', -jar => $jar);
is($r->status, 200, 'HEAD');
is((api())[0]{method}, 'HEAD', '... is sent as HEAD');

$r = $t->get('/v3/company/-/query', -jar => $jar, Range => 'bytes=0-3');
is((api())[1]{headers}{range}, 'bytes=0-3', 'Range is passed on');

$r = $t->get('/v3/company/-/query', -jar => $jar, 'Accept-Encoding' => 'gzip');
is($r->header('Content-Encoding'), 'gzip', 'answers may be compressed');

my $c = $t->connect;
$t->sim->reset('scripts');
$c->send(join '', map { "GET /v3/company/$_/companyinfo/$realm HTTP/1.1\r\n"
    . "Host: localhost\r\nAccept: application/json\r\n"
    . "Cookie: __Host-intuit=" . $jar->get('__Host-intuit') . "\r\n\r\n" }
    '-', 1, $realm);
is_deeply([ map { $c->response->status } 1 .. 3 ], [ 200, 403, 200 ],
    'pipelined requests are answered in order');

done_testing();
