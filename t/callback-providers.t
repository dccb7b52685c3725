#!/usr/bin/perl

# A code goes to the provider that its login was begun with, and to no other
# (RFC 9700, section 4.4): the state of one provider means nothing at the
# callback of another, and where two share a callback, the attempt decides.
#
# Rows: CB-08 CK-10 LES-36

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('other', 'another-client-secret');
$t->sim->control('POST', '/client', { client_id => 'another-client-id',
    client_secret => 'another-client-secret' });

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

    # shares the callback
    intuit_provider staff {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_email         @example.com;
        cookie_name         __Host-staff;
        login_uri           /staff/login;
        logout_uri          /staff/logout;
        session_uri         /staff/session;
        probe               off;
    }

    # another app, with a callback of its own
    intuit_provider other {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           another-client-id;
        client_secret_file  %%DIR%%/other;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/other/callback;
        allow_realm         any;
        cookie_name         __Host-other;
        login_uri           /other/login;
        logout_uri          /other/logout;
        session_uri         /other/session;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        add_header X-User $intuit_claim_email;
        add_header X-Realm $intuit_realm_id;
        root %%DIR%%/html;

        location /books/ {
            auth_intuit books;
        }

        location /staff/ {
            auth_intuit staff;
        }

        location /other/ {
            auth_intuit other;
        }
    }
}
CONF

$t->write_file("html/$_/index.html", "$_\n") for qw(books staff other);

my $realm = '9130347957983546';

sub begin {
    my ($jar, $page) = @_;
    my $r = $t->get($page, -jar => $jar, -browser => 1);

    return $t->consent($jar, $r->header('Location'), realm => $realm);
}

# one browser with an attempt at either app
my $jar = $t->jar;
my $books = begin($jar, '/books/');
my $other = begin($jar, '/other/');

(my $crossed = $books) =~ s{^/intuit/}{/other/};
is($t->get($crossed, -jar => $jar->clone, -browser => 1)->status, 400,
    "one app's answer at the callback of another");

($crossed = $other) =~ s{^/other/}{/intuit/};
is($t->get($crossed, -jar => $jar->clone, -browser => 1)->status, 400,
    'and the other way round');

# the cookie renamed to what the other provider's would be
my $forged = $jar->clone;
my ($name) = grep { /^__Host-intuit-login-/ } $forged->names;
(my $renamed = $name) =~ s/^__Host-intuit/__Host-other/;
$forged->set($renamed, $forged->get($name));

($crossed = $books) =~ s{^/intuit/}{/other/};
is($t->get($crossed, -jar => $forged, -browser => 1)->status, 400,
    'nor does a renamed cookie help');

is($t->sim->count(kind => 'token'), 0, 'no code was sent anywhere');

for ([ $books, 'sim-client-id', 'books' ],
     [ $other, 'another-client-id', 'other' ])
{
    my ($callback, $client, $page) = @$_;

    is($t->get($callback, -jar => $jar, -browser => 1)->status, 302,
        "the login with $page works");
    is(($t->sim->journal(kind => 'token'))[-1]->{client_id}, $client,
        'with its own id and secret');
    is($t->get("/$page/index.html", -jar => $jar)->body, "$page\n",
        'and opens its pages');
}

# the shared callback, for the provider that is not the first; first while
# the answer has to be waited for, then at once (a second delivery)
$jar = $t->jar;
my $staff = begin($jar, '/staff/');
my $before = $jar->clone;

for my $browser ($jar, $before) {
    my $r = $t->get($staff, -jar => $browser, -browser => 1);

    is($r->status, 302, 'the login with the second provider works');
    is($r->path, '/staff/', 'and leads to its page');
    is_deeply([ grep { !/tries/ } $browser->names ], [ '__Host-staff' ],
        'with its own cookie and no other');

    $r = $t->get('/staff/index.html', -jar => $browser);
    is($r->body, "staff\n", 'which opens its pages');
    is($r->header('X-User'), 'ada@example.com', 'as who has signed in');
    is($r->header('X-Realm'), undef, 'for no company');

    is($t->get('/books/index.html', -jar => $browser, -json => 1)->status,
        401, "and not the first provider's");
}

# a refusal, too, is the second provider's
$jar = $t->jar;
$staff = begin($jar, '/staff/');
($staff) = $staff =~ /[?&]state=([^&]+)/;

my $r = $t->get("/intuit/callback?state=$staff&error=access_denied",
    -jar => $jar, -browser => 1);
is($r->status, 403, 'a login with the second provider that was cancelled');
like($r->body, qr{href="/staff/login}, 'leads back to it');

done_testing();
