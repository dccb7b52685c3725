#!/usr/bin/perl

# Only the cookie that was set at a login lets anybody in.  Cookie headers
# that are broken, forged, doubled or nearly right, and whatever else looks
# like a credential, never get a page, never reach the application, and never
# harm a worker.
#
# Rows: CB-11 CK-05 CK-06 CK-07 NGX-H5 NGX-H6 LES-03 LES-04 LES-12 LES-13
#       LES-14 LES-15 LES-20 LES-28 F-ABU-01 F-ABU-02

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    access_log %%DIR%%/logs/access.log;
    large_client_header_buffers 4 32k;
    keepalive_requests 10000;

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
        auth_intuit books;

        location / {
            proxy_pass %%SIM%%;
        }

        location /static/ {
            alias %%DIR%%/html/;
        }

        location /v3/company/ {
            intuit_proxy books;
        }
    }
}
CONF

my $jar = $t->signed_in(realm => '9130347957983546',
    path => '/static/index.html');
my $id = $jar->get('__Host-intuit');
my $other = 'A' x 43;

$t->sim->script({ kind => 'other', times => -1,
    action => { status => 200, body => 'app' } });

is($t->get('/app', Cookie => "__Host-intuit=$id")->status, 200,
    'the cookie of the login');
is($t->get('/app', Cookie => "a=1;__Host-intuit=$id ; b")->status, 200,
    '... among others');
is($t->get('/app', Cookie => [ 'a=1', "__Host-intuit=$id" ])->status, 200,
    '... in another line');
is($t->get('/app', Cookie => "__Host-intuit=$id; __Host-intuit=$id")->status,
    200, '... twice the same');

$t->sim->reset('journal');

my $flip = $id;
substr($flip, 20, 1) = substr($id, 20, 1) eq 'x' ? 'y' : 'x';

my $last = $id;
substr($last, 42, 1) = substr($id, 42, 1) eq 'B' ? 'C' : 'B';

my $own = "__Host-intuit=$id";

for my $case (
    [ 'nothing', '' ], [ 'a semicolon', ';' ], [ 'semicolons', ';;;; ;' ],
    [ 'an equals sign', '=' ], [ 'equals signs', '=;==;=' ],
    [ 'a name', 'a' ], [ 'our name', '__Host-intuit' ],
    [ 'our name and nothing', '__Host-intuit=' ],
    [ 'our name and quotes', '__Host-intuit=""' ],
    [ 'the value in quotes', "__Host-intuit=\"$id\"" ],
    [ 'the value alone', $id ], [ 'a value without a name', "=$id" ],
    [ 'our name in a value', "=$own" ], [ 'our name in a value', "a=$own" ],
    [ 'another case', "__host-intuit=$id" ],
    [ 'another case', "__HOST-INTUIT=$id" ],
    [ 'another name', "intuit=$id" ], [ 'another name', "__Host-intuit2=$id" ],
    [ 'another name', "x__Host-intuit=$id" ],
    [ 'another name', "__Host-intuit-login-=$id" ],
    [ 'another name', "__Host-intuit-tries=$id" ],
    [ 'an escaped name', "__Host%2Dintuit=$id" ],
    [ 'a comma for a semicolon', "a=1, $own" ],
    [ 'one more equals sign', "__Host-intuit==$id" ],
    [ 'a byte less', substr $own, 0, -1 ], [ 'a byte more', "${own}A" ],
    [ 'a dot', "$own." ], [ 'padding', "$own=" ], [ 'an escape', "$own%00" ],
    [ 'a blank within', "__Host-intuit=" . substr($id, 0, 20) . ' '
        . substr($id, 20) ],
    [ 'another byte', "__Host-intuit=$flip" ],
    [ 'another last byte', "__Host-intuit=$last" ],
    [ 'another case of the value', '__Host-intuit=' . ($id ^ (' ' x 43)) ],
    [ 'high bytes', "__Host-intuit=" . "\xff" x 43 ],
    [ 'high bytes before', "\xff\xfe__Host-intuit=$id" ],
    [ 'a control byte', "a=\x01; __Host-intuit=$other" ],
    [ 'a format', '__Host-intuit=' . '%n%s' x 10 . '%n%' ],
    [ 'a number', '__Host-intuit=99999999999999999999' ],
    [ 'two that differ', "$own; __Host-intuit=$other" ],
    [ 'two that differ, the other way', "__Host-intuit=$other; $own" ],
    [ 'two lines that differ', [ $own, "__Host-intuit=$other" ] ],
    [ 'one of them empty', "$own; __Host-intuit=" ],
    [ '50 of them', join '; ', map { '__Host-intuit=' . $_ x 43 } 'A' .. 'Z',
        'a' .. 'x' ],
    [ '1000 of them', join('; ', map { "__Host-intuit=$_" } 1 .. 1000)
        . "; $own" ],
    [ '8 KB of semicolons', ';' x 8192 ],
    [ '8 KB of equals signs', '=' x 8192 ],
    [ '8 KB of blanks', ' ' x 8192 . 'x' ],
    [ '30 KB of our name', '__Host-intuit=' . 'A' x 30000 ],
    [ '300 KB', [ map { '__Host-intuit=' . 'A' x 30000 } 1 .. 10 ] ],
    [ '100 lines', [ map { "a$_=1" } 1 .. 100 ] ])
{
    my ($name, $value) = @$case;

    for my $path ('/app', '/v3/company/-/query', '/intuit/session') {
        my $r = $t->get($path, -json => 1, Cookie => $value);
        like($r->status, qr/^4\d\d$/, "$name: refused at $path")
            or diag $r->raw;
    }
}

my $c = $t->connect;
my $in = 0;
my @alphabet = ('A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_');

for (1 .. 2000) {
    my $forged = join '', map { $alphabet[rand 64] } 1 .. 43;

    $c->send("GET /app HTTP/1.1\r\nHost: localhost\r\n"
        . "Cookie: __Host-intuit=$forged\r\n\r\n");
    $in++ if $c->response->status != 401;
}

is($in, 0, 'of 2000 guesses none is right');

for my $case ([ '/app?access_token=x&token=x&id_token=x' ],
    [ '/app', Authorization => 'Bearer ' . 'x' x 600 ],
    [ '/app', Authorization => "Bearer $id" ],
    [ '/app', Authorization => 'Basic YTpi' ],
    [ '/app', 'X-User' => 'ada@example.com' ],
    [ '/app', 'X-Intuit-Session' => $id ],
    [ '/app', 'User-Agent' => 'kube-probe/1.30' ],
    [ '/app', 'User-Agent' => 'GoogleHC/1.0' ],
    [ '/app', 'X-Forwarded-Uri' => '/intuit/login' ],
    [ '/app', 'X-Original-URL' => '/intuit/login' ],
    [ '/app', 'X-Forwarded-For' => '127.0.0.1' ],
    [ '/app?/intuit/login' ],
    [ '/app;/intuit/login' ], [ '/app#/intuit/login' ],
    [ '/intuit/login/../../app' ], [ '/intuit/session/x' ],
    [ '/intuit/session%2f..%2f..%2fapp' ])
{
    my ($path, @headers) = @$case;
    my $r = $t->get($path, -json => 1, @headers);
    is($r->status, 401, "$path @headers[0 .. $#headers] is no login");
}

is($t->sim->count(kind => 'other'), 0, 'the application was not asked');
is($t->sim->count(kind => 'api'), 0, 'nor was the API');

is($t->get('/app', -jar => $jar)->status, 200, 'the login is still good');

done_testing();
