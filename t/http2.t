#!/usr/bin/perl

# Over HTTP/2 the same holds: a browser may send its cookies in crumbs, and
# the login, the gate and what goes upstream are those of HTTP/1.
#
# Rows: BF-02 NGX-P2

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

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
        listen 127.0.0.1:%%PORT_8081%% http2;
        auth_intuit books;

        location / { proxy_pass %%SIM%%; }
        location /static/ { alias %%DIR%%/html/; }
        location /v3/ { intuit_proxy books; }
        location /local/ {
            auth_intuit off;
            rewrite ^/local(/.*) $1 break;
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

my $jar = $t->signed_in(realm => '9130347957983546',
    path => '/static/index.html');
my $ours = '__Host-intuit=' . $jar->get('__Host-intuit');

$t->sim->script({ kind => 'other', times => -1,
    action => { status => 200, body => 'app' } });

# A frame; a header field that no table knows, without Huffman coding.
sub frame { pack('CnCCN', length($_[3]) >> 16, length($_[3]) & 0xffff,
    $_[0], $_[1], $_[2]) . $_[3] }

sub field {
    my ($name, $value) = @_;
    return "\x00" . join '', map { my $n = length;
        ($n < 127 ? chr $n : chr(127) . chr(($n - 127) % 128
            + ($n - 127 >= 128 ? 128 : 0))
            . ($n - 127 >= 128 ? chr(($n - 127) >> 7) : '')) . $_ }
        $name, $value;
}

# One request on a connection of its own: (status, body).
sub h2 {
    my ($method, $path, @pairs) = @_;
    my $block = '';

    for ([ ':method', $method ], [ ':scheme', 'http' ], [ ':path', $path ],
        [ ':authority', 'localhost:' . $t->port(8081) ])
    {
        $block .= field(@$_);
    }

    while (my ($name, $value) = splice @pairs, 0, 2) {
        $block .= field($name, $value);
    }

    my $c = $t->connect(port => $t->port(8081));
    $c->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . frame(4, 0, 0, '')
        . frame(1, 5, 1, $block));

    my ($status, $body, $end) = (0, '', 0);
    my $deadline = time + 10;

    until ($end) {
        until (length $c->{in} >= 9 && length $c->{in} >= 9 + size($c)) {
            $c->more($deadline) or return ($status, $body);
        }

        my $size = size($c);
        my ($type, $flags) = unpack 'x3CC', $c->{in};
        my $payload = substr $c->{in}, 9, $size;
        substr $c->{in}, 0, 9 + $size, '';

        $status = status($payload) if $type == 1;
        $body .= $payload if $type == 0;
        $end = 1 if $type == 7 || $type == 3 || $type < 2 && $flags & 1;
    }

    $c->close;
    return ($status, $body);
}

sub size { my ($high, $low) = unpack 'Cn', $_[0]{in}; $high << 16 | $low }

# nginx sends ":status" first: an entry of the static table, or its name and
# three digits, which it may code after Huffman.
sub status {
    my ($block) = @_;
    $block =~ s/^[\x20-\x3f]+//;

    my %known = (8 => 200, 9 => 204, 10 => 206, 11 => 304, 12 => 400,
        13 => 404, 14 => 500);
    my $first = ord $block;

    return $known{$first & 0x7f} if $first & 0x80;

    my $text = substr $block, 2, ord(substr $block, 1, 1) & 0x7f;
    return $text if !(ord(substr $block, 1, 1) & 0x80);

    # the codes of digits: 0, 1, 2 in five bits, 3 to 9 in six
    my $bits = unpack 'B*', $text;
    my %digit = ((map { sprintf('%05b', $_) => $_ } 0 .. 2),
        (map { sprintf('%06b', 22 + $_) => $_ } 3 .. 9));
    my $digits = '';

    while (length $digits < 3) {
        $bits =~ s/^(0000[01]|00010|0[01]\d{4})// or last;
        $digits .= $digit{$1} // '?';
    }

    return $digits;
}

my @browser = (accept => 'text/html', 'sec-fetch-mode' => 'navigate',
    'sec-fetch-dest' => 'document', 'sec-fetch-site' => 'none');

is((h2('GET', '/app', @browser))[0], 302, 'a browser is sent to Intuit');

my ($status, $body) = h2('GET', '/app', accept => 'application/json');
is($status, 401, 'a program is not');
like($body, qr/"error":"login_required"/, '... and is told so');

is((h2('HEAD', '/app'))[0], 401, '... nor by HEAD');
is((h2('GET', '/intuit/session'))[0], 401, 'our own URIs are served');
is((h2('GET', '/static/index.html', cookie => $ours))[1], "the tool\n",
    'signed in');
is($t->sim->count(kind => 'other'), 0, 'the application was not asked');

for my $case (
    [ 'in crumbs', [ 'a=1', $ours, 'b=2' ], 'a=1; b=2' ],
    [ 'first', [ $ours, 'a=1' ], 'a=1' ],
    [ 'last', [ 'a=1', $ours ], 'a=1' ],
    [ 'alone', [ $ours ], undef ],
    [ 'twice', [ $ours, 'a=1', $ours ], 'a=1' ],
    [ 'in one line', [ "a=1; $ours; b=2" ], 'a=1; b=2' ])
{
    my ($name, $crumbs, $left) = @$case;

    $t->sim->reset('journal');
    my ($status) = h2('GET', '/app', (map { (cookie => $_) } @$crumbs),
        'x-user' => 'mallory', authorization => 'Bearer client-made-this-up');
    my ($entry) = $t->sim->journal(kind => 'other');

    is($status, 200, "our cookie $name lets in");
    is($entry->{headers}{cookie}, $left, '... and is cut out');
    ok(!exists $entry->{headers}{$_}, "... as is $_")
        for qw(x-user authorization);
}

$t->sim->reset('journal');
is((h2('GET', '/app', cookie => $ours, cookie => '__Host-intuit=x'))[0], 401,
    'two that differ do not');
is((h2('GET', '/v3/company/-/companyinfo/1/../2', cookie => $ours))[0], 400,
    'a path that means two things is refused');
is((h2('POST', '/v3/company/-/query', cookie => $ours,
    origin => 'http://evil.example'))[0], 403, 'so is another site\'s POST');
is($t->sim->count, 0, 'nothing was sent');

is((h2('POST', '/v3/company/-/query', cookie => $ours, accept =>
    'application/json', origin => 'http://localhost:' . $t->port(8081)))[0],
    400, 'an empty query of this site\'s goes to the API');
is((h2('GET', '/v3/company/-/companyinfo/9130347957983546',
    cookie => $ours))[0], 200, 'as does a question');
is((h2('GET', '/local/v3/company/-/companyinfo/9130347957983546'))[0], 200,
    'and one of a local program');
is($t->sim->count(kind => 'api'), 3, '... to the API');

done_testing();
