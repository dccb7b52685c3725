#!/usr/bin/perl

# The attack: bytes that nobody has thought of.  A generator with a seed makes
# requests out of pieces that fit and pieces that do not: cookies, arguments of
# the callback, targets, headers, bodies, several requests at a time, frames of
# HTTP/2; and damages them.  The promise: no worker dies, nobody gets a page, a
# session or a 500, and what is in order is served all the same.
#
# TEST_SEED repeats a run; TEST_ROUNDS makes it longer.
#
# Rows: CK-07 NGX-P1 NGX-P2

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Http2;

my $SEED = $ENV{TEST_SEED} // ($ENV{TEST_ALL} ? time : 1);
my $ROUNDS = $ENV{TEST_ROUNDS} // ($ENV{TEST_ALL} ? 50_000 : 1500);

note("TEST_SEED=$SEED TEST_ROUNDS=$ROUNDS");

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "secret page\n");
$t->write_file('html/open.html', "open page\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    %%TEMP_PATHS%%
    access_log off;
    client_header_timeout 1s;
    client_body_timeout 1s;
    keepalive_requests 1000000;
    underscores_in_headers on;
    ignore_invalid_headers off;

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
        listen 127.0.0.1:%%PORT_8082%% http2;
        server_name localhost;
        root %%DIR%%/html;
        auth_intuit books;

        location /v3/company/ { intuit_proxy books; }
        location = /status { intuit_status format=json manage; }
        location = /connect { intuit_connect books; }
        location = /disconnect { intuit_disconnect books; }
        location = /migrate { intuit_migrate books; }
        location = /open.html { auth_intuit off; }
    }
}
CONF

# -- a generator of its own: the same numbers on every Perl -------------------------

my $state = $SEED * 2654435761 % 4294967296 || 1;

sub number {
    my ($n) = @_;

    $state ^= $state << 13 & 0xffffffff;
    $state ^= $state >> 17;
    $state ^= $state << 5 & 0xffffffff;
    return $state % $n;
}

sub one { return $_[number(scalar @_)] }
sub some { my ($n, $code) = @_; return map { $code->() } 1 .. number($n + 1) }

my $jar = $t->signed_in(path => '/index.html', realm => '9130347957983546');

# an attempt; its state comes to stand in places where any text is logged, and so
# the harness is not told of it
my $r = $t->get('/index.html', -browser => 1);
my ($login) = map { /^([^;]*-login-[^;]+)/ } $r->header('Set-Cookie');
my ($good_state) = $r->header('Location') =~ /[?&]state=([\w-]+)/;

sub damaged {
    my ($bytes) = @_;

    for (1 .. number(3)) {
        my $at = number(length($bytes) + 1);
        my $what = number(6);

        substr($bytes, $at, number(8)) = '' if $what == 0 && $at < length $bytes;
        substr($bytes, $at, 0) = chr number(256) if $what == 1;
        substr($bytes, $at, 0) = one("\0", "\r\n", "\n", ';', '=', '%', '&', '"',
            "\xff", ' ', "\t", ',') if $what == 2;
        substr($bytes, $at, 0) = substr($bytes, 0, number(40)) if $what == 3;
        substr($bytes, $at, 0) = one('A', '%', ';', '=', '/') x number(3000)
            if $what == 4;
        $bytes = substr $bytes, 0, $at if $what == 5 && number(4) == 0;
    }

    return $bytes;
}

sub word { return one('', 'x', 'A' x 43, $good_state, '%00', '%', '..', '-1',
    '99999999999999999999', '9130347957983546', 'null', '%n%s', "\xe2\x80\xae",
    'access_denied', 'https://evil.example/', '/', '//', 'a' x number(300)) }

sub cookie {
    my $name = one('__Host-intuit', '__Host-intuit-login-', '__Host-intuit-tries',
        '__host-intuit', 'a', '', '__Host-intuit-login-' . 'x' x number(20));
    my $value = number(12) == 0 ? $login : $name . one('=', '', ' = ', '==') . word();
    return $value;
}

sub args { join one('&', ';', '&&'), some(6, sub { one(qw(code state realmId iss
    error error_description return_to action access_token realm refresh_token
    requestid %63ode a)) . one('=', '', '==') . word() }) }

sub target { one(qw(/ /index.html /v3/company/-/query /v3/company/1/../2
        /v3/company/-/companyinfo/9130347957983546 /intuit/callback /intuit/login
        /intuit/logout /intuit/session /status /connect /disconnect /migrate
        //intuit//callback /intuit/%63allback http://localhost/intuit/callback *))
    . one('', '?' . args(), '?', '#' . word(), '/' . word()) }

sub header { one('Cookie: ' . join(one('; ', ';', ','), some(5, \&cookie)),
    'Accept: ' . one('text/html', '*/*', 'application/json', ';q=', 'text/html;q=0',
        ',,,', word()), 'Authorization: ' . one('', 'Bearer', 'Bearer ', 'Basic x')
        . word(), 'Origin: ' . word(), 'Referer: ' . word(),
    'Sec-Fetch-Site: ' . one(qw(none same-origin cross-site x)),
    'Sec-Fetch-Mode: ' . one(qw(navigate cors x)), 'Sec-Fetch-Dest: '
        . one(qw(document iframe empty)), 'X_User: ' . word(),
    'X-Forwarded-For: ' . word(), 'Host: ' . one('localhost', word()),
    'Content-Type: ' . one('application/json', 'application/x-www-form-urlencoded',
        'multipart/form-data; boundary=', word()), 'Expect: 100-continue',
    'Range: bytes=0-', 'Connection: ' . one(qw(close keep-alive Cookie upgrade)),
    'Transfer-Encoding: chunked', 'Content-Length: ' . number(50),
    word() . ': ' . word()) }

sub request {
    my $method = one(qw(GET GET GET POST POST HEAD PUT DELETE OPTIONS CONNECT TRACE
        X));
    my $body = one('', '', args(), '{"realm":"' . word() . '"}', "3\r\nabc\r\n0\r\n\r\n");

    return join "\r\n", "$method " . target() . ' HTTP/1.1', 'Host: localhost',
        ($body ne '' && number(3) ? 'Content-Length: ' . length $body : ()),
        some(6, \&header), '', $body;
}

# -- HTTP/1 -----------------------------------------------------------------------------

my ($answers, @odd, %status) = (0);

# what must be in no answer
sub look {
    my ($in, $sent) = @_;
    my $what = $in =~ /secret page/ ? 'the page'
        : $in =~ /^Set-Cookie: __Host-intuit=[^;]/m ? 'a session'
        : $in =~ m{^HTTP/1\.1 500}m ? '500'
        : $in =~ /sim-client-secret|eyJ[\w-]{20}/ ? 'a secret' : undef;

    $status{$1}++, $answers++ while $in =~ m{^HTTP/1\.1 (\d+)}mg;
    push @odd, "$what: " . $sent =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ger
        if defined $what;
}

for my $round (1 .. $ROUNDS) {
    my $bytes = join '', map { request() } 0 .. number(4);
    $bytes = damaged($bytes) if number(4);

    my $c = $t->connect(timeout => 20);

    $c->send($bytes);
    # all have said what they say; some leave at once, and some by a reset
    my $leaves = number(8) == 0;
    !$leaves ? shutdown($c->socket, 1) : setsockopt $c->socket,
        Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack 'ii', 1, 0;

    if (!$leaves && number(10)) {
        1 while $c->more(time + 20);
        look($c->{in}, $bytes);
    }

    $c->close;

    if ($round % 500 == 0) {
        push @odd, "a good request after $round" if $t->get('/index.html',
            -jar => $jar)->body ne "secret page\n";
    }

    last if @odd > 10;
}

is(join("\n", @odd), '', "HTTP/1: $answers answers, none with what is not his");
note(join ', ', map { "$_: $status{$_}" } sort keys %status);
cmp_ok($answers, '>', $ROUNDS / 4, 'most of them were requests');

# -- HTTP/2 ------------------------------------------------------------------------------

my $frames = 0;

for (1 .. $ROUNDS / 10) {
    my $c = Test::Intuit::Http2->new(port => $t->port('8082'), timeout => 20);
    my @streams = some(5, sub {
        my $path = target();
        my @pairs = map { my ($name, $value) = split /: /, header(), 2;
            (lc $name, $value) } 0 .. number(6);

        push @pairs, map { (cookie => $_) } some(4, \&cookie);
        @pairs = map { length $_ < 20_000 ? $_ // '' : '' } @pairs;
        return $c->get($path, @pairs);
    });

    # frames of any kind, on streams that are and that are not
    for (1 .. number(6)) {
        $c->frame(number(12), number(256), number(2) ? number(12) : 0,
            join '', map { chr number(256) } 1 .. number(30));
        $frames++;
    }

    $c->reset(one(@streams)) if @streams && number(3) == 0;
    $c->goaway if number(6) == 0;
    shutdown $c->{connection}->socket, 1;
    1 while $c->{connection}->more(time + 20);
    push @odd, 'HTTP/2: the page' if $c->{connection}{in} =~ /secret page/;
    $c->close;
}

is(join("\n", @odd), '', "HTTP/2: $frames odd frames, nobody got a page");

is($t->get('/index.html', -jar => $jar)->body, "secret page\n",
    'who is signed in is served');
is($t->get('/v3/company/-/companyinfo/9130347957983546', -jar => $jar,
    -json => 1)->status, 200, '... and connected');
my $h2 = Test::Intuit::Http2->new(port => $t->port('8082'));
is($h2->status($h2->get('/open.html')), 200, '... over HTTP/2, too');

# the seed may make a callback of that attempt, but no code is Intuit's
is(scalar(grep { $_->{status} == 200 } $t->sim->journal(kind => 'token')), 1,
    'no other token was given out');

# the codes that it saw are words of the generator's, which stand everywhere
$t->sim->control('POST', '/reset', { only => [ 'journal' ] });

done_testing();
