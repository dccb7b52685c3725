#!/usr/bin/perl

# The login in a real browser: its cookies, its rules of SameSite, its reading
# of redirects and of our pages' policy are what counts in the end.
#
# Rows: CK-01 CK-04 NGX-OR LES-06 LES-23

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use JSON::PP ();

plan(skip_all => 'there is no /usr/bin/chromium') if !-x '/usr/bin/chromium';
plan(skip_all => 'playwright-core is missing: run make test once')
    if !-e "$FindBin::Bin/node_modules/playwright-core/index.js";

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "<p>the tool</p>"
    . '<a href="/intuit/logout">out</a>');
$t->write_file('html/bye.html', "<p>good bye</p>");

$t->conf(<<'CONF');
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    types { text/html html; }
    access_log %%DIR%%/logs/access.log;
    root %%DIR%%/html;

    # or the browser shows what it has kept, without asking who is there now
    add_header Cache-Control no-cache;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         4620816365041297150;
        post_logout_uri     /bye.html;
        probe               off;
    }

    intuit_provider strict {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8081%%/intuit/callback;
        allow_realm         4620816365041297150;
        cookie_flags        samesite=strict;
        post_logout_uri     /bye.html;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        server_name localhost;
        auth_intuit books;

        location = /bye.html {
            auth_intuit off;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_8081%%;
        server_name localhost;
        auth_intuit strict;

        location = /bye.html {
            auth_intuit off;
        }
    }

    server {                    # another site, at 127.0.0.1
        listen 127.0.0.1:%%PORT_8082%%;
        root %%DIR%%/elsewhere;
    }
}
CONF

my $base = 'http://localhost:' . $t->port;
my $strict = 'http://localhost:' . $t->port(8081);
my $elsewhere = 'http://127.0.0.1:' . $t->port(8082);

$t->write_file('elsewhere/link.html',
    qq{<a id="a" href="$base/intuit/logout">a kitten</a>});
$t->write_file('elsewhere/img.html', qq{<img src="$base/intuit/logout">});
$t->write_file('elsewhere/form.html', qq{<form method="post"
    action="$base/intuit/logout"><button>a kitten</button></form>});
$t->write_file('elsewhere/strict.html',
    qq{<a id="a" href="$strict/index.html">the tool</a>});

# As return_to; those that begin with a slash also as the page's address.
my @nasty = ('//evil.example', '///evil.example', '/\\evil.example',
    '\\\\evil.example', '/%5cevil.example', '/%2f%2fevil.example',
    'https://evil.example/', 'https:evil.example', '/\\/evil.example',
    "/\t/evil.example", "\t//evil.example", '/./%2e//evil.example',
    '/..//evil.example', '/%2e%2e//evil.example', '//localhost@evil.example/',
    '@evil.example', '.evil.example', ':80@evil.example', 'javascript:alert(1)',
    "/%0d%0aLocation:%20//evil.example", '/;@evil.example', '/?//evil.example',
    '//%65vil.example', "/\xe2\x88\x95evil.example", '/#//evil.example');

$t->start;

my $given = JSON::PP->new->ascii->encode({ base => $base, strict => $strict,
    elsewhere => $elsewhere, nasty => \@nasty });

open my $pipe, '-|', 'node', "$FindBin::Bin/browser/steps.cjs",
    "$FindBin::Bin/node_modules/playwright-core", $given or die "node: $!";

my $answer = join '', <$pipe>;
close $pipe;

my $said = eval { JSON::PP->new->utf8->decode($answer) };

ok($said, 'the browser has run') or diag $answer;
is($said->{$_}, undef, "$_ went to its end") for qw(login strictly targets);

# a login

ok($said->{at_intuit}, 'an anonymous page leads to Intuit');
is($said->{back_at}, "$base/index.html?a=1", 'and back to itself');
is($said->{tool}, 'the tool', 'signed in');

my $cookie = $said->{cookie} // {};

is(length($cookie->{value} // ''), 43, 'the __Host- cookie is kept on localhost');
ok($cookie->{httpOnly} && $cookie->{secure}, 'HttpOnly and Secure');
is($cookie->{sameSite}, 'Lax', 'Lax');
is($cookie->{path}, '/', 'of the whole site');
is($said->{left}, 0, 'nothing is left of the attempt');
unlike($said->{script}, qr/__Host-intuit=/, 'a script cannot read it');

# a logout

is($said->{form}, 'This request came from another site',
    'another site\'s form is refused');
is($said->{still_in}, 'the tool', 'and neither it nor a picture logs out');
is($said->{asked}, 'Sign out?', 'another site\'s link is asked about');
is($said->{in_after_link}, 'the tool', 'and changes nothing by itself');
is($said->{confirmed}, 'good bye', 'but does when that is confirmed');
is($said->{cookie_after}, undef, 'the cookie is gone');
ok($said->{asked_again}, 'the page asks for a login again');
is($said->{linked}, 'good bye', 'a link of our own logs out at once');

# SameSite=Strict

is($said->{strict_at}, "$strict/index.html?a=1&b=2", 'with a Strict cookie');
is($said->{strict_tool}, 'the tool', 'the login ends at the page, signed in');
is($said->{strict_cookie}, 'Strict', 'the cookie is Strict');
ok($said->{strict_link}, 'which another site\'s link does not bring along');
is($said->{strict_again}, 'the tool', 'but the login that follows ends well');

# targets

my $ends = $said->{ends} // {};

cmp_ok(scalar keys %$ends, '>', 35, 'targets were tried');
is(join(' ', grep { index("$ends->{$_}[0]/", "$base/") != 0 }
    sort keys %$ends), '', 'none leads away from the site');
is(join(' ', grep { /return_to=/ && !$ends->{$_}[1] } sort keys %$ends), '',
    'and each login succeeds');

is(join(' ', @{ $said->{hosts} // [] }), '127.0.0.1 localhost',
    'the browser talked to nobody else');
is(join("\n", @{ $said->{policy} // [] }), '', 'no page broke its own policy');

$t->secret($cookie->{value}) if $cookie->{value};

done_testing();
