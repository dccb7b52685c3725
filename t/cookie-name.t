#!/usr/bin/perl

# Two providers that people sign in with in one server must not share a
# cookie: each login would end the other one's session, over and over.
#
# Rows: LES-36

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new(sim => 0);

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    intuit_provider staff {
        environment    sandbox;
        client_id      id;
        client_secret  secret-of-the-test;
        scope          openid email;
        redirect_uri   http://localhost:%%PORT_8080%%/intuit/callback;
        allow_email    @example.com;
    }

    intuit_provider books {
        environment    sandbox;
        client_id      id;
        client_secret  secret-of-the-test;
        scope          com.intuit.quickbooks.accounting;
        redirect_uri   http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm    9130347957983546;
        login_uri      /books/login;
        logout_uri     /books/logout;
        session_uri    /books/session;
        COOKIE
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit staff;

        location /books/ {
            BOOKS
        }
    }
}
CONF

sub check {
    my ($cookie, $books) = @_;
    (my $text = $conf) =~ s/COOKIE/$cookie/;
    $text =~ s/BOOKS/$books/;
    return $t->check_conf($text);
}

my ($status, $said) = check('', 'auth_intuit books;');

isnt($status, 0, 'one cookie for two logins is refused');
like($said, qr/"books" .* another "cookie_name"/,
    'with the directive that helps');

($status, $said) = check('cookie_name __Host-books;', 'auth_intuit books;');
is($status, 0, 'a name of its own is the remedy') or diag($said);

($status, $said) = check('', 'intuit_proxy books realm=9130347957983546;');
is($status, 0, 'a provider that nobody signs in with here needs none')
    or diag($said);

done_testing();
