#!/usr/bin/perl

# The module's own requests to Intuit are its own: nothing of the browser's
# request (headers, cookies, ranges, body, encodings) and nothing of the
# operator's server (headers to set, error pages, limits, guards) gets into
# them, and no header of Intuit's answers steers nginx or reaches the browser.
#
# Rows: TK-01 TK-03 TK-10 UI-02 NGX-R6

use FindBin;
use lib "$FindBin::Bin/lib";
use MIME::Base64 qw(encode_base64);
use Test::Intuit;
use Test::Intuit::Attempt;

my $t = Test::Intuit->new;

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

my $provider = <<'CONF';
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
CONF

$t->conf(<<"CONF")->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

    # what an operator may have for other things
    limit_req_zone \$server_name zone=one:1m rate=1r/m;
    limit_conn_zone \$server_name zone=two:1m;
    proxy_set_header X-From-Http leaked;
    proxy_set_header Cookie \$http_cookie;
    proxy_intercept_errors on;
    proxy_redirect off;
    proxy_method PUT;
    proxy_set_body leaked;
    proxy_http_version 1.0;
    proxy_ignore_client_abort off;
    proxy_limit_rate 1;
    proxy_hide_header intuit_tid;
    proxy_buffering off;
    error_page 400 401 403 404 500 502 503 /error.html;
    add_header X-Leaked 1 always;
    gzip on;
    recursive_error_pages on;
    log_subrequest on;

$provider

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location = /error.html {
            auth_intuit off;
            root %%DIR%%/html;
        }

        location /intuit/ {
            auth_intuit books;
            limit_rate 100k;
        }

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location = /internal {
            internal;
            auth_intuit off;
            add_header X-Internal reached;
            root %%DIR%%/html;
            try_files /index.html =404;
        }
    }

    server {                            # the first of these is not the only
        listen 127.0.0.1:%%PORT_8081%%;
        limit_req zone=one;
        limit_conn two 1;
        auth_basic "closed";
        auth_basic_user_file %%DIR%%/secret;
        deny all;
        rewrite ^ http://127.0.0.1:1/rewritten;
    }
}
CONF

my @headers = (
    'X-Client' => 'leaked', 'Authorization' => 'Bearer leaked',
    'Range' => 'bytes=0-1', 'If-None-Match' => '"leaked"',
    'If-Modified-Since' => 'Mon, 01 Jan 2024 00:00:00 GMT',
    'Accept-Encoding' => 'gzip', 'Accept-Language' => 'leaked',
    'User-Agent' => 'leaked', 'Referer' => 'http://leaked.example/',
    'X-Forwarded-For' => '192.0.2.1', 'Expect' => undef, 'TE' => 'trailers',
    'Upgrade' => 'websocket', 'Via' => '1.1 leaked', 'Content-Type' => 'a/b',
    'traceparent' => 'leaked', 'Transfer-Encoding' => undef,
);

# -- a login with all that; every answer tries to steer nginx

my %evil = (
    'X-Accel-Redirect' => '/internal', 'X-Accel-Expires' => '60',
    'X-Accel-Limit-Rate' => '1', 'X-Accel-Charset' => 'koi8-r',
    'X-Accel-Buffering' => 'no', 'Set-Cookie' => 'leaked=1; Path=/',
    'Location' => '/leaked', 'Refresh' => '0; url=/leaked',
    'WWW-Authenticate' => 'Basic realm="leaked"', 'X-Leaked-Answer' => '1',
    'Content-Disposition' => 'attachment', 'Link' => '</leaked>',
);

$t->sim->script({ kind => $_, times => -1, action => { headers => \%evil } })
    for qw(discovery token jwks userinfo api);

$t->sim->config(id_token_realmid => 0);      # so that CompanyInfo is read

my $jar = $t->jar;
my $leaked = 'leaked=cookie; other=leaked';

my $r = $t->get('/?leaked=query', -jar => $jar, -browser => 1);
my $callback = $t->consent($jar, $r->header('Location'));
my $cookie = $jar->header_for($callback);

$r = $t->request('GET', $callback, -jar => $jar, -body => 'leaked=body',
    -json => 1, @headers, Cookie => "$leaked; $cookie");

is($r->status, 302, 'signed in') or diag($r->body);
unlike($r->raw, qr/X-Accel|leaked=1|X-Leaked-Answer|Refresh|WWW-Auth|Internal/i,
    'no header of the answers is in the response');
ok(!grep(/leaked/, $jar->names), 'no cookie of Intuit\'s');

# -- byte for byte

my $host = '127.0.0.1:' . $t->sim->port;
my $basic = encode_base64('sim-client-id:sim-client-secret', '');
my ($code) = $callback =~ /[?&]code=([^&]+)/;
my %sent;

push @{ $sent{$_->{kind}} }, $_ for grep { ($_->{via} // '') ne 'control' }
    $t->sim->journal;

sub bytes {
    my ($entry) = @_;
    return join "\n", "$entry->{method} $entry->{target} $entry->{version}",
        (sort map { "$_->[0]: $_->[1]" } @{ $entry->{raw_headers} }), '',
        $entry->{body};
}

is(join(' ', map { "$_ " . @{ $sent{$_} } } sort keys %sent),
    'api 1 discovery 1 jwks 1 token 1 userinfo 1', 'each once');

my $form = "grant_type=authorization_code&code=$code&redirect_uri="
    . 'http%3A%2F%2Flocalhost%3A' . $t->port . '%2Fintuit%2Fcallback';
my $length = length $form;

is(bytes($sent{token}[0]), <<"EOT" . $form, 'the token request');
POST /oauth2/v1/tokens/bearer 1.1
Accept-Encoding: identity
Accept: application/json
Authorization: Basic $basic
Connection: close
Content-Length: $length
Content-Type: application/x-www-form-urlencoded
Host: $host
x-include-refresh-token-hard-expires-in: true

EOT

my ($token) = map { $_->{access_token} } $t->sim->tokens;
my $realm = '9130347957983546';

for ([ discovery => '/.well-known/openid_sandbox_configuration' ],
    [ jwks => '/op/v1/jwks' ],
    [ userinfo => '/v1/openid_connect/userinfo', $token ],
    [ api => "/v3/company/$realm/companyinfo/$realm", $token ])
{
    my ($kind, $path, $bearer) = @$_;
    my $authorization = $bearer ? "\nAuthorization: Bearer $bearer" : '';

    is(bytes($sent{$kind}[0]), <<"EOT", "the $kind request");
GET $path 1.1
Accept-Encoding: identity
Accept: application/json$authorization
Connection: close
Host: $host

EOT
}

# -- the operator's error pages and interception do not touch the answers

$t->write_file('html/error.html', "the operator's page\n");

($r, $jar) = attempt($t, [ { kind => 'token', action => { status => 400,
    json => { error => 'invalid_grant' }, headers => \%evil } } ]);

is($r->status, 400, 'a refusal is what the browser is told');
like(join('', $t->log_lines), qr/status 400, error "invalid_grant"/,
    'the answer itself was read');
is($t->sim->count(kind => 'token'), 1, 'once');

ok(!(grep { /tokens.bearer|companyinfo/ } $t->log_lines('logs/access.log')),
    'nobody\'s access_log has the requests');

done_testing;
