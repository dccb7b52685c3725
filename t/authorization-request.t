#!/usr/bin/perl

# The authorization request: every parameter once, of the configuration only,
# with a state, a nonce and a PKCE challenge that are new each time.  Neither
# the page's address nor the client's headers have any influence on it, and no
# cache keeps it.
#
# Rows: AZ-01 AZ-02 AZ-03 AZ-04 AZ-05 AZ-07 AZ-08 AZ-09 NGX-H5 LES-14

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Digest::SHA qw(sha256);
use MIME::Base64 qw(encode_base64url);

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

    intuit_provider proof {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8081%%/intuit/callback;
        extra_auth_args     "ui_locales=en-GB&claims=%7B%22x%22%3A1%7D";
        allow_realm         any;
        pkce                on;
        probe               off;
    }

    intuit_provider plain {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8082%%/intuit/callback;
        allow_realm         any;
        probe               off;
    }

    root %%DIR%%/html;

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;
    }

    server {
        listen 127.0.0.1:%%PORT_8081%%;
        auth_intuit proof;
    }

    server {
        listen 127.0.0.1:%%PORT_8082%%;
        auth_intuit plain;
    }
}
CONF

# the parameters as they are, [ name, value ]
sub params {
    my ($r) = @_;
    my ($query) = $r->header('Location') =~ /^[^?#]*\?([^#]*)$/;

    $r->header('Location') =~ /[?&]state=([\w-]+)/;
    $t->secret($1);

    return map { [ map { Test::Intuit::Sim::unescape($_) } split /=/, $_, 2 ] }
        split /&/, $query;
}

sub names { join ' ', sort map { $_->[0] } @_ }
sub value { my $name = shift; return (map { $_->[1] } grep { $_->[0] eq $name } @_)[0] }

sub start {
    my ($path, @more) = @_;
    return $t->get($path, -browser => 1, -jar => $t->jar, @more);
}

my $r = start('/page');
my @p = params($r);

is($r->status, 302, 'a redirect that drops a body');
is($r->header('Cache-Control'), 'no-store', 'that nobody keeps');
is($r->header('Referrer-Policy'), 'no-referrer',
    'and that does not say where it came from');
like($r->header('Location'), qr{^\Q${\ $t->sim->base}\E/connect/oauth2\?},
    "to Intuit's page");
unlike($r->header('Location'), qr/[^\x21-\x7e]/, 'well-formed');

is(names(@p), 'client_id nonce redirect_uri response_type scope state',
    'each parameter is there, and once');
is(value('response_type', @p), 'code', 'for a code');
is(value('client_id', @p), 'sim-client-id', 'of this app');
is(value('scope', @p), 'openid email com.intuit.quickbooks.accounting',
    'with the scopes, one space between them');
is(value('redirect_uri', @p),
    'http://localhost:' . $t->port . '/intuit/callback',
    'the callback as configured');
like(value('state', @p), qr/^[\w-]{43}$/, 'a state of 256 bits');
like(value('nonce', @p), qr/^[\w-]{22}$/, 'a nonce of 128 bits');

# -- many logins

my %seen;

for (1 .. 200) {
    my @these = params(start('/page'));
    $seen{state}{value('state', @these)}++;
    $seen{nonce}{value('nonce', @these)}++;
}

is(keys %{ $seen{state} }, 200, '200 logins have 200 states');
is(keys %{ $seen{nonce} }, 200, 'and 200 nonces');
is(scalar(grep { my $nonce = $_; grep { index($_, $nonce) >= 0 }
    keys %{ $seen{state} } } keys %{ $seen{nonce} }), 0,
    'which are no part of the states');

# -- what a client or an address says

my @said = (
    [ '/page?prompt=none&scope=x&state=A&nonce=B&claims=c&login_hint=d' ],
    [ '/page?redirect_uri=http%3A%2F%2Fevil.example&client_id=evil' ],
    [ '/page', Host => 'evil.example' ],
    [ '/page', 'X-Forwarded-Host' => 'evil.example',
        'X-Forwarded-Proto' => 'https', 'X-Forwarded-Port' => '444' ],
    [ '/page', Forwarded => 'host=evil.example;proto=https' ],
    [ 'http://evil.example/page', Host => 'evil.example' ],
    [ '/intuit/login?prompt=none&scope=x&return_to=//evil.example/' ],
    [ '/intuit/login', Host => 'evil.example:80' ],
);

for (@said) {
    my ($path, @headers) = @$_;
    my @these = params($r = start($path, @headers));
    my %same = map { $_ => value($_, @these) eq value($_, @p) }
        qw(client_id redirect_uri response_type scope);

    is(names(@these), names(@p), "$path @headers: no other parameter");
    is(scalar(grep { !$_ } values %same), 0, 'and no other value');
    unlike($r->header('Location'), qr/evil/, 'nor any trace of it');
}

# -- PKCE, in the request and at the token endpoint

my $jar = $t->jar;
$r = $t->get('/page', -browser => 1, -jar => $jar, -port => $t->port('8081'));
@p = params($r);

is(names(@p), 'claims client_id code_challenge code_challenge_method nonce '
    . 'redirect_uri response_type scope state ui_locales',
    'PKCE and the extra arguments, once each');
is(value('code_challenge_method', @p), 'S256', 'hashed');
is(value('ui_locales', @p), 'en-GB', 'an extra argument');
is(value('claims', @p), '{"x":1}', 'and one with escapes');

my $challenge = value('code_challenge', @p);

$r = $t->get($t->consent($jar, $r->header('Location')), -browser => 1,
    -jar => $jar, -port => $t->port('8081'));
is($r->status, 302, 'Intuit accepts the verifier');

my ($call) = $t->sim->journal(kind => 'token');
my %form = map { map { Test::Intuit::Sim::unescape($_) } split /=/, $_, 2 }
    split /&/, $call->{body};

like($form{code_verifier}, qr/^[A-Za-z0-9._~-]{43,128}$/, 'a full verifier');
is(encode_base64url(sha256($form{code_verifier})), $challenge,
    'whose hash the challenge was');
is($form{redirect_uri}, value('redirect_uri', @p),
    'and the same callback, byte by byte');

$r = $t->get('/page', -browser => 1, -jar => $t->jar,
    -port => $t->port('8081'));
isnt(value('code_challenge', params($r)), $challenge, 'new at the next login');

# -- without openid there is no nonce

$jar = $t->jar;
$r = $t->get('/page', -browser => 1, -jar => $jar, -port => $t->port('8082'));
is(names(params($r)), 'client_id redirect_uri response_type scope state',
    'a login for the API alone');

$r = $t->get($t->consent($jar, $r->header('Location')), -browser => 1,
    -jar => $jar, -port => $t->port('8082'));
is($r->status, 302, 'works');

($call) = ($t->sim->journal(kind => 'token'))[-1];
unlike($call->{body}, qr/code_verifier/, 'and has no verifier');

done_testing();
