#!/usr/bin/perl

# The promise: what Intuit's API says in an error is recognised in all of its
# three shapes: the code is in $intuit_fault_code, and each failure is one line
# in the log with Intuit's transaction id, at a level that fits.  The client gets
# the answer as it came, but for a token's handle in a 401, and a 401 that cannot
# be looked through.  A mix-up of sandbox
# and production is said to be one, and costs no refresh.
# The attack: a token's handle in a log; an answer of 200 that is tampered with;
# a fault that writes lines of its own into the log.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/sorry.html', "sorry\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    log_format api '$status code="$intuit_fault_code" tid="$intuit_tid"';
    access_log %%DIR%%/logs/access.log;
    root %%DIR%%/html;

    intuit_limit off;

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

        location / {
            auth_intuit books;
        }

        location /v3/ {
            access_log %%DIR%%/logs/api.log api;
            intuit_proxy books realm=9130347957983546;
        }

        location = /sorry.html { access_log %%DIR%%/logs/api.log api; }

        location /pages/ {
            access_log %%DIR%%/logs/api.log api;
            rewrite ^/pages(/.*) $1 break;
            intuit_proxy books realm=9130347957983546;
            proxy_intercept_errors on;
            error_page 403 404 500 /sorry.html;
            error_page 400 =302 http://localhost/sorry;
        }
    }
}
CONF

my $realm = '9130347957983546';
$t->signed_in(realm => $realm);

my $seen = 0;

# One call that is answered so: the response, and the log's lines about it.
sub answered {
    my ($action, %o) = @_;
    my $before = () = $t->log_lines;
    my $method = $o{method} // 'POST';

    $t->sim->reset('journal', 'scripts');
    $t->sim->script({ kind => 'api', times => -1, action => $action });

    my $r = $t->request($method, ($o{where} // '') . '/v3/company/-/query',
        -json => 1, -body => $method eq 'POST' ? 'select' : undef,
        %{ $o{headers} // {} });

    $seen++;
    $t->wait_until(sub { my @l = $t->log_lines('logs/api.log'); @l >= $seen });

    my @lines = grep { /intuit API/ } ($t->log_lines)[$before .. -1
        + (() = $t->log_lines)];
    my $access = ($t->log_lines('logs/api.log'))[$seen - 1];

    return ($r, $access, @lines);
}

sub tid { return (grep { $_->{kind} eq 'api' } $t->sim->journal)[-1]{intuit_tid} }


# -- the shapes ---------------------------------------------------------------

for my $case (
    [ '3200', 'json', 401, 'warn', 'AuthenticationFailed' ],
    [ '100', 'xml', 401, 'warn', 'General Authentication Error' ],
    [ '100', 'json', 401, 'warn', 'General Authentication Error' ],
    [ '3100', 'json', 403, 'warn', 'ApplicationAuthorizationFailed' ],
    [ '3100', 'xml', 403, 'warn', 'ApplicationAuthorizationFailed' ],
    [ '3001', 'json', 429, 'warn', 'ThrottleExceeded' ],
    [ '3001', 'xml', 429, 'warn', 'ThrottleExceeded' ],
    [ '2020', 'json', 400, 'notice', 'Required param missing' ],
    [ '610', 'xml', 400, 'notice', 'Object Not Found' ])
{
    my ($code, $format, $status, $level, $words) = @$case;
    my ($r, $access, @lines) = answered({ fault => $code, format => $format });
    my $tid = tid();

    is($r->status, $status, "$code in $format: $status");
    like($r->body, qr/\Q$words/, '... as it was');
    is($access, qq($status code="$code" tid="$tid"\n), '... variables');
    is(scalar(grep { /\[$level\].* answered $status, code $code, ".*\Q$words\E.*", realm "$realm", intuit_tid: "$tid"/ }
        @lines), 1, '... one line in the log') or diag @lines;
}

for my $case (
    [ 'a page of a gateway', { status => 502 }, 'error' ],
    [ 'nothing', { status => 500, body => '' }, 'error' ],
    [ 'another format', { status => 404, body => 'no' }, 'notice' ],
    [ 'a damaged one', { status => 400, body => '{"Fault":{"Error":[' },
        'notice' ],
    [ 'a long one', { status => 400, body => ' ' x 20_000
        . '{"Fault":{"Error":[{"code":"2020"}]}}' }, 'notice' ],
    [ 'a long one in chunks', { status => 400, chunked => \1, body => ' '
        x 20_000 . '{"Fault":{"Error":[{"code":"2020"}]}}' }, 'notice' ])
{
    my ($name, $action, $level) = @$case;
    my ($r, $access, @lines) = answered($action);
    my ($status, $tid) = ($action->{status}, tid());

    is($r->status, $status, "$name: $status");
    is($r->body, $action->{body}, '... as it was') if exists $action->{body};
    is($access, qq($status code="-" tid="$tid"\n), '... has no code');
    is(scalar(grep { /\[$level\].* answered $status, realm "$realm", intuit_tid: "$tid"/ }
        @lines), 1, '... and one line in the log') or diag @lines;
}


# -- tokens -------------------------------------------------------------------

my $handle = 'AB0111762' . 'eXampleHandleOfAToken_x-9';
$t->secret($handle);

for my $format ('json', 'xml') {
    my ($r, undef, @lines) = answered({ fault => '3200', format => $format,
        detail => "Token revoked: $handle & \"more\"" });
    my $stars = '*' x length $handle;

    is($r->status, 401, "a token's handle in $format");
    like($r->body, qr/Token revoked: \Q$stars\E (?:&|&amp;) /,
        '... does not get to the client');
    is(length $r->body, $r->header('Content-Length'), '... in so many bytes');
    like("@lines", qr/Token revoked: \Q$stars/, '... nor into the log');
    ok($format eq 'xml' || $r->json, '... and is still JSON');
}

my $text = qq({"fault":{"error":[{"detail":"Token expired: $handle"}]}});

my ($r) = answered({ status => 200, body => $text });
is($r->body, $text, 'an answer of 200 is nobody\'s to change');
($r) = answered({ status => 400, body => $text });
is($r->body, $text, '... nor one that is about the books');
for my $case ([ 'is compressed', { body => $text, gzip => \1 } ],
    [ 'is long', { body => $text . ' ' x 20_000 } ],
    [ 'is long, and in chunks', { body => ' ' x 20_000 . $text,
        chunked => \1 } ],
    [ 'is cut', { body => $text, close_after => length($text) - 10 } ])
{
    my ($name, $action) = @$case;

    for my $method ('POST', 'GET') {
        ($r, my $access) = answered({ status => 401, %$action },
            method => $method, headers => { 'Accept-Encoding' => 'gzip' });

        is($r->status, 401, "a 401 that $name, $method");
        unlike($r->raw, qr/exampleHandle/i, '... does not get to the client');
        next if !$r->complete;

        is($r->header('Content-Encoding'), undef, '... but in clear text');
        is($r->json->{error}, 'api_refused', '... that it was refused');
        is($r->json->{intuit_tid}, tid(), '... with the transaction id');
        like($access, qr/^401 .* tid="\Q@{[tid()]}"/, '... in a variable, too');
    }
}

my ($one, undef, @lines) = answered({ status => 400, json => { Fault => { Error =>
    [ { code => "1\n2\"", Message => "x\r\n2026/01/01 [info] forged",
    Detail => 'Customer Ada Lovelace owes 100' } ] } } });
is(scalar(@lines), 1, 'a fault writes no lines of its own');
like($lines[0], qr/code 1\?2\?, "x\?\?2026.* forged"/, '... into the log');
unlike($lines[0], qr/Lovelace/, '... and nothing of the books');


# -- mixed up -----------------------------------------------------------------

for my $case ([ '130', 401 ], [ '3100', 403 ]) {
    my ($code, $status) = @$case;
    my ($r, undef, @lines) = answered({ fault => $code }, method => 'GET');

    is($r->status, $status, "code $code");
    is(scalar(grep { /\[error\].* code $code: sandbox and production do not mix,.* provider "books" \(\S+nginx.conf:\d+\) is sandbox/ }
        @lines), 1, '... is said to be a mix-up') or diag @lines;
    is($t->sim->count(kind => 'api'), 1, '... is not tried again');
    is($t->sim->count(kind => 'token'), 0, '... and costs no refresh');
}


# -- pages in their place -----------------------------------------------------

for my $case ([ 404, 404, "sorry\n" ], [ 500, 500, "sorry\n" ], [ 400, 302 ]) {
    my ($status, $page, $body) = @$case;
    my ($r, $access, @lines) = answered({ status => $status, body => 'x' },
        where => '/pages');

    is($r->status, $page, "a page for $status");
    is($r->body, $body, '... of this server') if $body;
    is(scalar(grep { /answered $status, realm "$realm", intuit_tid: "@{[tid()]}"/ }
        @lines), 1, '... and the line in the log') or diag @lines;
}

done_testing();
