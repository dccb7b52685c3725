#!/usr/bin/perl

# Only a user's own navigation begins a login.  Whatever else arrives without
# a session - scripts, images, frames, prefetches, programs, forms - gets 401
# in JSON, and no state is made for it: a page full of subresources would
# otherwise leave as many attempts.
#
# Rows: AZ-07 AZ-10 BF-06

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

my $html = 'text/html,application/xhtml+xml,*/*;q=0.8';

# [ name, method, headers ]
my @none = (
    [ 'fetch()', 'GET', Accept => '*/*', 'Sec-Fetch-Mode' => 'cors',
        'Sec-Fetch-Dest' => 'empty' ],
    [ 'fetch() that accepts a page', 'GET', Accept => $html,
        'Sec-Fetch-Mode' => 'cors', 'Sec-Fetch-Dest' => 'empty' ],
    [ 'a script', 'GET', Accept => '*/*', 'Sec-Fetch-Mode' => 'no-cors',
        'Sec-Fetch-Dest' => 'script' ],
    [ 'an image', 'GET', Accept => 'image/avif,*/*;q=0.8',
        'Sec-Fetch-Mode' => 'no-cors', 'Sec-Fetch-Dest' => 'image' ],
    [ 'a frame', 'GET', Accept => $html, 'Sec-Fetch-Mode' => 'navigate',
        'Sec-Fetch-Dest' => 'iframe' ],
    [ 'an old frame', 'GET', Accept => $html, 'Sec-Fetch-Mode' => 'navigate',
        'Sec-Fetch-Dest' => 'frame' ],
    [ 'an object', 'GET', Accept => $html, 'Sec-Fetch-Mode' => 'navigate',
        'Sec-Fetch-Dest' => 'object' ],
    [ 'a WebSocket', 'GET', 'Sec-Fetch-Mode' => 'websocket',
        Upgrade => 'websocket', Connection => 'Upgrade' ],
    [ 'XMLHttpRequest', 'GET', Accept => $html,
        'X-Requested-With' => 'XMLHttpRequest' ],
    [ 'XMLHttpRequest in a new browser', 'GET', Accept => $html,
        'X-Requested-With' => 'XMLHttpRequest',
        'Sec-Fetch-Mode' => 'navigate' ],
    [ 'a prefetch', 'GET', Accept => $html, 'Sec-Fetch-Mode' => 'navigate',
        'Sec-Fetch-Dest' => 'document', 'Sec-Purpose' => 'prefetch' ],
    [ 'a prerendering', 'GET', Accept => $html,
        'Sec-Fetch-Mode' => 'navigate', 'Sec-Fetch-Dest' => 'document',
        'Sec-Purpose' => 'prefetch;prerender' ],
    [ 'an old prefetch', 'GET', Accept => $html, Purpose => 'prefetch' ],
    [ 'a very old prefetch', 'GET', Accept => $html, 'X-Moz' => 'prefetch' ],
    [ 'a preview', 'GET', Accept => $html, 'X-Purpose' => 'preview' ],
    [ 'curl', 'GET', Accept => '*/*' ],
    [ 'a client without Accept', 'GET' ],
    [ 'an API client', 'GET', Accept => 'application/json' ],
    [ 'an event stream', 'GET', Accept => 'text/event-stream' ],
    [ 'a client that refuses pages', 'GET',
        Accept => 'application/json, text/html;q=0' ],
    [ 'HEAD', 'HEAD', Accept => $html, 'Sec-Fetch-Mode' => 'navigate' ],
    [ 'a form', 'POST', Accept => $html, 'Sec-Fetch-Mode' => 'navigate',
        'Sec-Fetch-Dest' => 'document', 'Sec-Fetch-Site' => 'same-origin' ],
    [ 'PUT', 'PUT', Accept => $html ],
    [ 'DELETE', 'DELETE', Accept => $html ],
    [ 'OPTIONS', 'OPTIONS', Accept => $html ],
);

for (@none) {
    my ($name, $method, @headers) = @$_;
    my $r = $t->request($method, '/page?x=1', @headers);

    is($r->status, 401, "$name: 401");
    is($r->header('Set-Cookie'), undef, 'without a cookie');
    is($r->header('Location'), undef, 'and without a redirect');
    is($r->header('Cache-Control'), 'no-store', 'for this client only');
    like($r->header('Content-Type'), qr{^application/json}, 'in JSON');

    next if $method eq 'HEAD';

    is($r->json->{error}, 'login_required', 'that says why');
    is($r->json->{login_uri}, '/intuit/login', 'and where to go');
}

# [ name, headers ]
my @navigations = (
    [ 'a new browser', Accept => $html, 'Sec-Fetch-Mode' => 'navigate',
        'Sec-Fetch-Dest' => 'document', 'Sec-Fetch-Site' => 'cross-site' ],
    [ 'a browser without Sec-Fetch-Dest', 'Sec-Fetch-Mode' => 'navigate' ],
    [ 'an old browser', Accept => $html ],
    [ 'lynx', Accept => 'text/html, text/plain, */*;q=0.01' ],
);

for (@navigations) {
    my ($name, @headers) = @$_;
    my $r = $t->get('/page', @headers, -jar => $t->jar);

    is($r->status, 302, "$name: 302");
    like($r->header('Location'), qr{/connect/oauth2\?}, 'to Intuit');
}

# the login's own address is no way around
for (@none) {
    my ($name, $method, @headers) = @$_;

    next if !grep { /^(?:Sec-Fetch-Mode|Sec-Purpose|Purpose|X-)/ } @headers;
    next if $method ne 'GET' || $name =~ /^XML/;

    my $r = $t->get('/intuit/login', @headers, -jar => $t->jar);

    is($r->status, 401, "$name of the login's own address: 401");
    is($r->header('Set-Cookie'), undef, 'without a cookie');
}

for my $method (qw(HEAD POST PUT)) {
    my $r = $t->request($method, '/intuit/login', Accept => $html);

    is($r->status, 405, "$method of the login's own address: 405");
    is($r->header('Set-Cookie'), undef, 'without a cookie');
}

done_testing();
