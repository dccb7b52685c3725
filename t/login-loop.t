#!/usr/bin/perl

# A browser that does not keep the session cookie would be sent to Intuit and
# back for ever.  The third automatic start within a minute gets a page that
# says why; a user who asks for the login gets it, and no other browser is
# concerned.
#
# Rows: CK-11 LES-03 LES-11

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

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
        allow_realm         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;
        root %%DIR%%/html;
    }
}
CONF

$t->write_file('html/page.html', "in\n");

my $intuit = qr{/connect/oauth2\?};
my $jar = $t->jar;

# -- login after login, and the session cookie is always lost

for my $round (1, 2) {
    is($t->login($jar, '/page.html')->status, 302, "round $round: a login");
    $jar->remove('__Host-intuit');
}

my $r = $t->get('/page.html', -jar => $jar, -browser => 1);

is($r->status, 400, 'there is no third');
like($r->header('Content-Type'), qr{^text/html}, 'but a page');
like($r->body, qr/not remembered/, 'that says why');
like($r->body, qr/blocks cookies/, 'and what may be the reason');
is($r->header('Location'), undef, 'that sends nobody away');
unlike($r->raw, qr/http-equiv="refresh"|^Refresh:/im, 'later either');
ok(!(grep { /-login-/ } $r->header('Set-Cookie')), 'no attempt is made');

is($t->get('/page.html', -jar => $jar, -json => 1)->status, 401,
    'programs are answered as ever');

# -- the page's own way out

my ($link) = $r->body =~ /class="act" href="([^"]+)"/;

is($link, 'http://localhost:' . $t->port
    . '/intuit/login?return_to=%2Fpage.html', 'the page has a way back');
$link =~ s{^http://[^/]*}{};

$r = $t->get($link, -jar => $jar, -browser => 1);
is($r->status, 302, 'who asks for the login');
like($r->header('Location'), $intuit, 'is sent to Intuit');

$r = $t->get($t->consent($jar, $r->header('Location')), -jar => $jar,
    -browser => 1);
is($r->status, 302, 'and comes back');
is($t->get('/page.html', -jar => $jar)->body, "in\n", 'signed in');

for my $more (1 .. 4) {
    $r = $t->get('/intuit/login', -jar => $jar, -browser => 1);
    is($r->status, 302, 'as often as they ask');
}

# -- the wrong host is named

$jar = $t->jar;
$t->get('/page.html', -jar => $jar, -browser => 1,
    Host => 'books.example:8080') for 1, 2;
$r = $t->get('/page.html', -jar => $jar, -browser => 1,
    Host => 'books.example:8080');

is($r->status, 400, 'another host name than that of the callback');
like($r->body, qr{books\.example:8080.*localhost}s, 'is given as the reason');

# -- what a client writes into the counter stops nobody else, and not for long

for my $count ('', 'x', '9', '.9', '0.9', '99999999999999999999.9',
    '1.2', time + 5000 . '.9', '-1.9')
{
    $r = $t->get('/page.html', -browser => 1,
        Cookie => "__Host-intuit-tries=$count", -jar => undef);
    is($r->status, 302, "a counter of \"$count\" counts for nothing");
    $t->jar->saw($r->header('Location') =~ /[?&]state=([\w-]+)/);
}

$r = $t->get('/page.html', -jar => $t->jar, -browser => 1);
is($r->status, 302, 'another browser is not concerned');

done_testing();
