#!/usr/bin/perl

# Logging out ends the session, for good and for this browser only, and never
# the company's connection.  Another site cannot do it to a visitor: not with
# a form, a picture, or a link.
#
# Rows: TK-14 BF-05 BF-09 CK-01 CK-04 CK-08 LES-05 LES-17 LES-23 LES-29 LES-32

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

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         9130347957983546;
        post_logout_uri     /bye.html?from=logout;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        root %%DIR%%/html;
        auth_intuit books;

        location /v3/company/ {
            intuit_proxy books;
        }

        location /batch/v3/company/ {
            auth_intuit off;
            rewrite ^/batch(/.*) $1 break;
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

my $origin = 'http://localhost:' . $t->port;
my $info = '/v3/company/-/companyinfo/9130347957983546';
my $out = '/intuit/logout';

sub signed_in { $t->signed_in(path => '/index.html',
    realm => '9130347957983546') }

sub in { $t->get('/index.html', -jar => $_[0], -json => 1)->status == 200 }

# a form on our own page

my ($jar, $other) = (signed_in(), signed_in());
my $old = $jar->clone;
my ($attributes) = $jar->cookie('__Host-intuit')->{header} =~ /^[^;]*(;.*)/;

my $r = $t->post($out, '', -jar => $jar, -browser => 1,
    'Sec-Fetch-Site' => 'same-origin', Origin => $origin);

is($r->status, 303, 'a POST logs out');
is($r->header('Location'), "$origin/bye.html?from=logout",
    'and goes to post_logout_uri');
is($r->header('Cache-Control'), 'no-store', 'which nobody may cache');

my ($deletion) = grep { /^__Host-intuit=;/ } $r->header('Set-Cookie');

is($deletion, "__Host-intuit=; Max-Age=0$attributes",
    'the cookie is deleted with the attributes that it was set with');
is($jar->get('__Host-intuit'), undef, 'so the browser forgets it');
ok(!in($jar) && !in($old), 'and its value is dead, wherever it was kept');

ok(in($other), 'the session of somebody else goes on');
is($t->get($info, -jar => $other, -json => 1)->status, 200,
    'with the connection');
is($t->get("/batch$info", -json => 1)->status, 200,
    'which also serves callers without a session');
is($t->sim->count(kind => 'revoke'), 0, 'nothing was revoked');

# what a browser sends, and whether it logs out

my @navigation = (-browser => 1, 'Sec-Fetch-User' => '?1');

for my $case (
    [ 'a link on our own page', 302, @navigation,
        'Sec-Fetch-Site' => 'same-origin' ],
    [ 'a link of a neighbour', 302, @navigation,
        'Sec-Fetch-Site' => 'same-site' ],
    [ 'the address typed in', 302, @navigation ],
    [ 'a link without Sec-Fetch, by its Referer', 302,
        Accept => 'text/html', Referer => "$origin/index.html" ],
    [ 'a link on another site', 200, @navigation,
        'Sec-Fetch-Site' => 'cross-site' ],
    [ 'a link on another site, by its Referer', 200,
        Accept => 'text/html', Referer => 'http://evil.example/' ],
    [ 'a Referer that begins as ours', 200,
        Accept => 'text/html', Referer => "$origin.evil.example/" ],
    [ 'a link without Referer', 200, Accept => 'text/html' ],
    [ 'an <img>', 200, Accept => 'image/*', 'Sec-Fetch-Site' => 'same-origin',
        'Sec-Fetch-Mode' => 'no-cors', 'Sec-Fetch-Dest' => 'image' ],
    [ 'an <iframe>', 200, @navigation, 'Sec-Fetch-Dest' => 'iframe',
        'Sec-Fetch-Site' => 'same-origin' ],
    [ 'a prefetch', 200, @navigation, 'Sec-Purpose' => 'prefetch',
        'Sec-Fetch-Site' => 'same-origin' ],
    [ 'fetch()', 200, Accept => '*/*', 'Sec-Fetch-Mode' => 'cors',
        'Sec-Fetch-Dest' => 'empty', 'Sec-Fetch-Site' => 'same-origin' ],
    [ 'curl', 200, Accept => '*/*' ],
) {
    my ($name, $status, @headers) = @$case;
    my $jar = signed_in();

    my $r = $t->get($out, -jar => $jar, @headers);
    my $in = in($jar);

    is($r->status, $status, $name);
    ok($status == 302 ? !$in : $in,
        $status == 302 ? '... logs out' : '... does not log out');
    is($jar->get('__Host-intuit') ? 1 : 0, $in ? 1 : 0,
        '... and the cookie knows');
}

# what the others see instead

$jar = signed_in();
$r = $t->get($out, -jar => $jar, -browser => 1,
    'Sec-Fetch-Site' => 'cross-site');

like($r->body, qr{<form method="post" action="/intuit/logout">},
    'a page asks first');
is($r->header('Set-Cookie'), undef, 'and changes nothing');
is($r->header('Referrer-Policy'), 'same-origin',
    'its form will say where it comes from');
like($r->header('Content-Security-Policy'),
    qr/frame-ancestors 'none'.*form-action 'self' \Q$origin\E$/,
    'it cannot be framed, and its form leads nowhere else');

# another site's form

for my $case (
    [ 'a cross-site POST', 'Sec-Fetch-Site' => 'cross-site' ],
    [ 'a POST of a neighbour', 'Sec-Fetch-Site' => 'same-site' ],
    [ 'a POST with another Origin', Origin => 'http://evil.example' ],
    [ 'a POST with an opaque Origin', Origin => 'null' ],
    [ 'a POST with our host on another port', Origin => 'http://localhost:1' ],
    [ 'a lie beside the truth', 'Sec-Fetch-Site' => 'cross-site',
        Origin => $origin ],
) {
    my ($name, @headers) = @$case;
    my $r = $t->post($out, '', -jar => $jar, Accept => 'text/html', @headers);

    is($r->status, 403, $name);
    is($r->header('Set-Cookie'), undef, '... changes nothing');
}

ok(in($jar), 'the session went on all the time');

# programs

$r = $t->post($out, '', -jar => $jar, -json => 1);

is($r->status, 200, 'an API client gets an answer');
is_deeply($r->json, { logged_out => JSON::PP::true() }, 'as JSON');
ok(!in($jar), 'and is logged out');

$r = $t->post($out, '', -jar => $t->jar, -json => 1);
is($r->status, 200, 'logging out twice is no mistake');

for my $method (qw(HEAD PUT DELETE OPTIONS)) {
    $r = $t->request($method, $out, -jar => $other);
    is($r->status, 405, "$method is not for this");
    is($r->header('Allow'), 'GET, POST', '... as Allow says');
}

ok(in($other), 'and logs nobody out');

# two cookies of the name: a stranger's beside the own one

my $mine = signed_in();
my $value = $mine->get('__Host-intuit');

$r = $t->post($out, '', Cookie => [ '__Host-intuit=' . 'A' x 43,
    "__Host-intuit=$value" ]);
is($r->status, 303, 'with two cookies of the name');
ok(!in($mine), 'the own session ends as well');

done_testing();
