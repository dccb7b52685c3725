#!/usr/bin/perl

# The client library's get_authorization_url(scopes, state_token): the same parameters at
# the same endpoint, once each, with the scopes in one value.  Its state is made by a weak
# generator and checked by nobody; here it is 256 random bits, and somebody else's is
# refused.
#
# Rows: AZ-01

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', $t->sim->{client_secret});
$t->write_file('html/index.html', "in\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

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
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        root %%DIR%%/html;

        location / {
            auth_intuit books;
        }

        location = /public {
            auth_intuit books;
            auth_intuit_mode verify;
            add_header X-Login $intuit_login_uri always;
            try_files /index.html =404;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $r = $t->get('/', -browser => 1);
my $url = $r->header('Location');
my ($base, $query) = split /\?/, $url, 2;

is($r->status, 302, 'the redirect');
is($base, $t->sim->base . '/connect/oauth2', 'to the authorization endpoint');

my %value;
my @pairs = map { [ map { tr/+/ /r =~ s/%(..)/chr hex $1/ger } split /=/, $_, 2 ] }
    split /&/, $query;
$value{$_->[0]} = $_->[1] for @pairs;

is(scalar @pairs, scalar keys %value, 'each parameter once');
is_deeply([sort grep { $_ ne 'nonce' } keys %value],
    [qw(client_id redirect_uri response_type scope state)],
    'those of the library, and a nonce');
is($value{response_type}, 'code', 'response_type');
is($value{client_id}, 'sim-client-id', 'client_id');
is($value{scope}, 'openid email com.intuit.quickbooks.accounting', 'scope');
is($value{redirect_uri}, 'http://localhost:' . $t->port(8080)
    . '/intuit/callback', 'redirect_uri');
like($value{state}, qr/^[\w-]{43}$/, 'state: 256 bits');

unlike($t->get('/', -browser => 1)->header('Location'), qr/\Q$value{state}\E/,
    'another one each time');

is($t->get('/intuit/login', -browser => 1)->header('Location')
    =~ s/\?.*//r, $base, 'login_uri leads there as well');
is($t->get('/public')->header('X-Login'), '/intuit/login',
    '$intuit_login_uri is a link to it');

my $jar = $t->jar;
my $callback = $t->consent($jar, $url, realm => $realm);
is($t->get($callback, -browser => 1)->status, 400,
    "another browser's state is refused");
is($t->sim->count(kind => 'token'), 0, 'before Intuit is asked');

done_testing();
