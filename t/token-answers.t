#!/usr/bin/perl

# Whatever the token endpoint answers to a code: it is asked exactly once (a
# code works once), nobody is signed in unless the answer is a whole and sound
# one, and nothing of its text reaches the browser or the logs: it may hold
# tokens, and a proxy in between may have written it.
#
# Rows: TK-05 TK-06 TK-12 TK-15 ID-16 ID-17 NGX-R4 NGX-R5 LES-30 LES-34
#       F-OP-02 F-OP-03 F-OP-04 F-OP-05 F-OP-06 F-OP-07 F-OP-08 F-OP-10
#       F-OP-11 F-OP-15

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::Intuit;
use Test::Intuit::Attempt;

my $t = Test::Intuit->new;

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location / {
            root %%DIR%%/html;
        }
    }
}
CONF

my $mark = 'SECRETMARK-in-the-answer';
my $plain = { 'content-type' => 'text/plain' };
my $true = JSON::PP::true;

# what the token endpoint does -> what the browser gets
sub answer { return [ { kind => 'token', action => { @_ } } ] }

sub bad {
    my ($name, $status, $error, @action) = @_;
    refused($t, $name, $status, $error, answer(@action));
}

sub good {
    my ($name, @action) = @_;
    accepted($t, $name, answer(@action));
}

# -- refusals

bad('invalid_grant', 400, 'code_refused', status => 400,
    json => { error => 'invalid_grant', error_description => $mark });

bad("$_->[0] $_->[1]", 502, 'client_refused', status => $_->[0],
    json => { error => $_->[1], error_description => $mark })
    for [ 401, 'invalid_client' ], [ 400, 'invalid_client' ],
        [ 400, 'unauthorized_client' ], [ 400, 'unsupported_grant_type' ],
        [ 400, 'invalid_request' ];

bad('401 without a word', 502, 'client_refused', status => 401, body => '');
bad('an error that is no word', 502, 'client_refused', status => 400,
    json => { error => "$mark\r\n\x{7f}\"", error_description => [ $mark ] });
bad('403', 502, 'invalid_answer', status => 403, body => $mark);

bad("$_", 503, 'temporarily_unavailable', status => $_, body => $mark)
    for 408, 425, 429, 500, 502, 503, 504, 599;

bad("429, Retry-After $_", 503, 'temporarily_unavailable', status => 429,
    headers => { 'retry-after' => $_ }, body => $mark)
    for '7', 'Wed, 21 Oct 2099 07:28:00 GMT', 'soon', '9999999999999999999999';

bad("$_", 502, 'invalid_answer', status => $_, body => $mark)
    for 201, 202, 304, 404, 405, 418;

bad('204', 502, 'invalid_answer', status => 204, body => '');

bad("a redirect, $_", 502, 'invalid_answer', status => $_,
    redirect => $t->sim->base . '/evil')
    for 301, 302, 303, 307, 308;

# -- not an answer

bad('reset', 503, 'temporarily_unavailable', rst => $true);
bad('reset after the work', 503, 'temporarily_unavailable',
    rst => $true, effect => $true);
bad("closed after $_ bytes of the body", 503, 'temporarily_unavailable',
    close_after => $_) for 0, 1, 200;
bad('closed at once', 503, 'temporarily_unavailable', raw => '');
bad('no status line', 503, 'temporarily_unavailable', raw => $mark);
bad('half a status line', 503, 'temporarily_unavailable',
    raw => 'HTTP/1.1 20');
bad('a header that never ends', 503, 'temporarily_unavailable',
    raw => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n");
bad('a header line that is none', 503, 'temporarily_unavailable',
    raw => "HTTP/1.1 200 OK\r\nnot a header\0\r\n\r\n{}");
bad('headers of 64 KB', 503, 'temporarily_unavailable',
    headers => { 'x-long' => 'x' x 65000 });
bad('1000 headers', 503, 'temporarily_unavailable',
    headers => { map { ("x-long-$_" => 'x' x 50) } 1 .. 1000 });
bad('more than 64 KB', 503, 'temporarily_unavailable', pad => 70000);
bad('more than 64 KB, chunked', 503, 'temporarily_unavailable',
    pad => 70000, chunked => $true);
bad('without an end', 503, 'temporarily_unavailable',
    endless => $true);

# -- an answer that is none of ours

bad('gzip', 502, 'invalid_answer', gzip => $true);
bad('HTML', 502, 'invalid_answer', body => "<html>$mark</html>",
    headers => { 'content-type' => 'text/html' });

my $sound = '"token_type":"bearer","access_token":"SECRETMARKabcdefgh",'
    . '"expires_in":3600,"refresh_token":"SECRETMARKijklmnop"';

bad($_->[0], 502, 'invalid_answer', headers => $plain, body => $_->[1])
    for [ 'an empty body', '' ],
        [ 'an array', "[{$sound}]" ],
        [ 'a string', "\"$mark\"" ],
        [ 'null', 'null' ],
        [ 'a comma at the end', "{$sound,}" ],
        [ 'something after it', "{$sound} x" ],
        [ 'two answers', "{$sound}{$sound}" ],
        [ 'a byte order mark', "\x{feff}{$sound}" ],
        [ 'a member twice', "{$sound,\"access_token\":\"SECRETMARKother\"}" ],
        [ 'a NUL', "{$sound,\"x\":\"a\\u0000b\"}" ],
        [ 'a lone surrogate', "{$sound,\"x\":\"\\ud800\"}" ],
        [ 'tokens and an error', "{$sound,\"error\":\"invalid_grant\"}" ],
        [ 'tokens and an odd error', "{$sound,\"error\":{}}" ],
        [ 'deep nesting', "{$sound,\"x\":" . '[' x 1000 . ']' x 1000 . '}' ],
        [ 'deeper nesting', '[' x 30000 . ']' x 30000 ],
        [ 'many members', "{$sound," . join(',', map { "\"k$_\":1" }
            1 .. 5000) . '}' ];

bad($_->[0], 502, 'invalid_answer', body_base64 => $_->[1])
    for [ 'UTF-16', 'ewAiAGEAIgA6ADEAfQA=' ],     # {"a":1}
        [ 'bytes that are no UTF-8', 'eyJhIjoi//4ifQ==' ];

bad('400 with tokens', 502, 'client_refused', status => 400,
    headers => $plain, body => "{$sound}");

# -- nothing of it was logged

my @lines = grep { /SECRETMARK/ } map { $t->log_lines("logs/$_") }
    qw(error.log access.log);
is("@lines", '', 'no log has any of it');

ok((grep { /refused: status 400, error "invalid_grant"/ } $t->log_lines),
    'the log says what it was');

done_testing;
