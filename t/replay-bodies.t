#!/usr/bin/perl

# The promise: a request that is sent a second time is sent with the same body,
# byte by byte, wherever nginx keeps it; one whose body is gone is not sent
# again; and intuit_request_id makes a POST one that Intuit recognises.
# The attack: half of an upload, an upload twice, a body that a second request on
# the connection begins with.
#
# Rows: BF-10 NGX-B1 LES-38

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

use Digest::SHA qw(sha256_hex);

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    client_max_body_size 8m;
    client_body_buffer_size 16k;

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
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
            intuit_request_id on;
        }

        location /file/ {
            rewrite ^/file(/.*) $1 break;
            client_body_in_file_only clean;
            intuit_proxy books realm=9130347957983546;
            intuit_request_id on;
        }

        location /unbuffered/ {
            rewrite ^/unbuffered(/.*) $1 break;
            proxy_request_buffering off;
            intuit_proxy books realm=9130347957983546;
            intuit_request_id on;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $path = '/v3/company/-/upload';

$t->signed_in(realm => $realm);

sub calls { $t->sim->journal(kind => 'api') }
sub refreshes { $t->sim->count(kind => 'token', grant_type => 'refresh_token') }

# the next call is refused, and what comes after it is not
sub refuse {
    $t->sim->reset('journal', 'scripts');
    $t->sim->script({ kind => 'api', action => { fault => '3200' } },
        { kind => 'api', times => -1, action => { status => 200,
        body => 'done' } });
}

sub text { join '', map { chr(33 + ($_ * 7 + int($_ / 91)) % 90) } 1 .. $_[0] }

sub chunked {
    return join '', (map { sprintf("%x\r\n%s\r\n", length, $_) }
        unpack '(a70000)*', $_[0]), "0\r\n\r\n";
}

my $c = $t->connect(timeout => 60);

for my $size (@ARGV ? @ARGV : (0, 1, 8192, 60_000, 300_000)) {
    my $body = text($size);

    for my $case (
        [ 'whole', '', $body, 200 ],
        [ 'in chunks', '', chunked($body), 200,
            'Transfer-Encoding' => 'chunked', 'Content-Length' => undef ],
        [ 'expected', '', $body, 200, 'Expect' => '100-continue' ],
        [ 'in a file', '/file', $body, 200 ],
        # a short one has come with the header
        $size && $size < 60_000 ? ()
            : [ 'as it comes', '/unbuffered', $body, $size ? 401 : 200 ])
    {
        my ($name, $where, $sent, $status, @headers) = @$case;

        refuse();
        my $r = $t->post("$where$path", $sent, -connection => $c, @headers,
            'Content-Type' => 'application/octet-stream');
        my @calls = calls();

        is($r->status, $status, "$size bytes, $name: $status");
        is(scalar(@calls), $status == 200 ? 2 : 1, '... and so often sent');
        is_deeply([ map { sha256_hex($_->{body}) } @calls ],
            [ (sha256_hex($body)) x @calls ], '... as it was');
        is(refreshes(), 1, '... after a refresh');
    }
}

is($t->get("$path/x", -connection => $c)->status, 200,
    'all on one connection, which goes on');


# -- requestid ----------------------------------------------------------------


sub asked {
    my ($method, $target, %o) = @_;
    refuse();
    $t->request($method, $target, -json => 1, -body => '{}', %o);
    return map { $_->{target} =~ s/^[^?]*//r } calls();
}

my @sent = asked('POST', $path);
like($sent[0], qr/^\?requestid=[0-9a-f]{32}$/, 'a POST gets a requestid');
is($sent[1], $sent[0], '... the same for both tries');

my @other = asked('POST', $path);
isnt($other[0], $sent[0], '... and another one for another request');

like((asked('POST', "$path?minorversion=75"))[0],
    qr/^\?minorversion=75&requestid=[0-9a-f]{32}$/, '... beside its arguments');
like((asked('POST', "$path?"))[0], qr/^\?requestid=[0-9a-f]{32}$/,
    '... or after none');

for my $args ('?requestid=mine', '?%72equestid=mine', '?a=1&requestid=') {
    is((asked('POST', "$path$args"))[0], $args, "$args stays as it is");
}

is((asked($_, $path))[0], '', "$_ gets none") for qw(GET PUT DELETE);

# executed once, by the simulator's own count
$t->sim->reset('journal', 'scripts');
$t->sim->control('POST', '/expire-access', { realm => $realm });
my $r = $t->post('/v3/company/-/invoice', '{"Line":[]}', -json => 1);
is($r->status, 200, 'an invoice');
is(scalar(calls()), 2, '... sent twice');
is($t->sim->control('GET', '/state')->{executions}{$realm}{Invoice}, 1,
    '... is made once');

# the answer got lost instead, on a connection that was kept
$t->sim->script({ kind => 'api', action => { effect => \1, rst => \1 } });
is($t->post('/v3/company/-/invoice?requestid=lost', '{"Line":[]}')->status,
    200, 'an answer that is lost is asked for again');
is($t->sim->control('GET', '/state')->{executions}{$realm}{Invoice}, 2,
    '... and the invoice is not made again');

done_testing();
