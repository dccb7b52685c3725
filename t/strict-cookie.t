#!/usr/bin/perl

# With "cookie_flags samesite=strict" a browser does not send the session
# along a redirect that Intuit began: the login ends with a page of ours that
# goes on to the target, or the first page would ask for a login again, and
# again.  The login's own cookies must come back from Intuit: they stay Lax.
#
# Rows: CK-01 CK-04

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
        cookie_flags        samesite=strict;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        root %%DIR%%/html;
        auth_intuit books;
    }
}
CONF

my $origin = 'http://localhost:' . $t->port;
my %user = (realm => '9130347957983546');

my $jar = $t->jar;
my $r = $t->get('/index.html?a=1&b=2', -jar => $jar, -browser => 1);
my @cookies = $r->header('Set-Cookie');

is(scalar @cookies, 2, 'a login starts with two cookies');
like($_, qr/; HttpOnly; Secure; SameSite=Lax$/, 'which are Lax') for @cookies;

$r = $t->get($t->consent($jar, $r->header('Location'), %user), -jar => $jar,
    -browser => 1, 'Sec-Fetch-Site' => 'cross-site');

is($r->status, 200, 'it ends with a page');
is($r->header('Location'), undef, 'not with a redirect');
is($r->header('Refresh'), "0;url=$origin/index.html?a=1&b=2",
    'that goes on to the target');
like($r->body, qr{<a href="\Q$origin\E/index\.html\?a=1&amp;b=2">Continue</a>},
    'or has a link to it');
is($r->header('Cache-Control'), 'no-store', 'which nobody may cache');
is($r->header('Referrer-Policy'), 'no-referrer',
    'nor learn the callback\'s address from');
unlike($r->body, qr/code=|state=/, 'which is not in it');

like($jar->cookie('__Host-intuit')->{header},
    qr/^__Host-intuit=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Strict$/,
    'the session\'s cookie is Strict');

is($t->get('/index.html', -jar => $jar)->status, 200, 'signed in');

# the target stands in a header and in an attribute

for my $target ('/a?x="><script>', '/a?x=\';y', '/a?x=;url=//evil.example',
    '/a?x=1,url=b', '/a;url=//evil.example')
{
    my $jar = $t->jar;
    my $r = $t->login($jar, '/intuit/login?return_to='
        . Test::Intuit::Sim::escape($target), %user);

    is($r->header('Refresh'), "0;url=$origin$target", "Refresh to $target");
    unlike($r->body, qr/<script>/, 'without markup of a stranger');
    unlike($r->body, qr/href="\Q$origin\E[^"]*["'<>]/, 'in one attribute')
        if $r->body !~ /href="[^"]*">Continue/;
}

# "Back" to the callback, and the way out

$r = $t->get('/intuit/callback?code=a&state=' . 'A' x 43, -jar => $jar,
    -browser => 1);

is($r->status, 200, 'who is signed in already');
is($r->header('Refresh'), "0;url=$origin/", 'is sent to the front page so');

$r = $t->post('/intuit/logout', '', -jar => $jar, Origin => $origin);

my ($deletion) = grep { /^__Host-intuit=;/ } $r->header('Set-Cookie');

is($deletion, '__Host-intuit=; Max-Age=0; Path=/; HttpOnly; Secure; '
    . 'SameSite=Strict', 'the deletion is Strict as well');

done_testing();
