#!/usr/bin/perl

# The promise: whatever lines a request has, in whatever order and however many
# (nginx keeps twenty in a piece), the application gets those that are not ours
# as they were sent and in their order, and so does a mirror.
# The attack: lines that have to go at the beginning, at the end, at the borders
# of the pieces, in rows, all of them.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "in\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    access_log off;
    large_client_header_buffers 8 32k;
    keepalive_requests 10000;
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

        location /app {
            auth_intuit books;
            proxy_pass %%SIM%%;
        }

        location /copied {
            auth_intuit books;
            mirror /app-copy;
            proxy_pass %%SIM%%;
        }

        location /app-copy {
            internal;
            proxy_pass %%SIM%%;
        }

        location /off {
            proxy_pass %%SIM%%;
        }
    }
}
CONF

my $id = $t->signed_in(path => '/index.html')->get('__Host-intuit');

$t->sim->script({ kind => 'other', times => -1,
    action => { status => 200, body => 'app' } });

# What becomes of a line: sent, and as it arrives (undef: not at all).
my $n = 0;
my %LINES = (
    k => sub { $n++; ("X-Line-$n: $n") x 2 },
    p => sub { $n++; ("Plain-$n: $n") x 2 },
    c => sub { $n++; ("Cookie: other$n=1") x 2 },
    o => sub { ("Cookie: __Host-intuit=$id", undef) },
    s => sub { $n++; ("Cookie: a=$n; __Host-intuit=$id; b=2",
        "Cookie: a=$n; b=2") },
    i => sub { ('X-Forwarded-User: root', undef) },
    a => sub { ('Authorization: Basic Og==', undef) },
);

sub lines {
    my ($pattern, $version) = @_;
    my (@sent, @kept);

    for (split //, $pattern) {
        my ($line, $kept) = $LINES{$_}->();
        push @sent, $line;
        push @kept, $kept if defined $kept;
    }

    my $path = "/app/$pattern";
    $t->sim->reset('journal');
    my $r = $t->http("GET $path HTTP/$version\r\n" . ($version eq '1.0' ? ''
        : "Host: localhost\r\nConnection: close\r\n")
        . join('', map { "$_\r\n" } @sent) . "\r\n");
    my ($entry) = $t->sim->journal(kind => 'other', path => $path);

    is_deeply([ $r->status, map { "$_->[0]: $_->[1]" }
        grep { $_->[0] !~ /^(?:Host|Connection)$/ }
        @{ $entry->{raw_headers} // [] } ], [ 200, @kept ],
        "$version $pattern");
}

lines($_, '1.1') for qw(o ok ko oo os so kok oik iok aio ska sks ccoc cko
    okc oc co cs sc kkook ioioio ppopp piop);

# with Host and Connection, and alone, around the twenty of a piece
for my $version ('1.0', '1.1') {
    for my $k (16 .. 21, 38 .. 41) {
        lines($_, $version) for 'k' x $k . 'o', 'k' x $k . 'oi' . 'k' x 3,
            'i' x $k . 'o', 'o' . 'p' x $k . 'ic' . 'k' x 25;
    }
}

lines($_, '1.0') for qw(o oi io oo s os);

# no word of ours where nobody has to sign in either
$t->sim->reset('journal');
$t->http("GET /off HTTP/1.0\r\nCookie: __Host-intuit=$id\r\n\r\n");
is_deeply([ grep { $_->[0] =~ /^cookie$/i } @{ ($t->sim->journal(
    kind => 'other', path => '/off'))[0]{raw_headers} } ], [],
    'nothing is left of a line that was the only one');

# a subrequest that is made afterwards has the lines that are left
$t->sim->reset('journal');
$t->http("GET /copied HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    . join('', map { "X-Line-$_: $_\r\n" } 1 .. 17)
    . "Cookie: __Host-intuit=$id\r\nX-Line-18: 18\r\nCookie: c=1\r\n\r\n");

for my $path ('/copied', '/app-copy') {
    $t->wait_until(sub {
        scalar $t->sim->journal(kind => 'other', path => $path) });
    my ($entry) = $t->sim->journal(kind => 'other', path => $path);

    is_deeply([ map { $_->[1] } grep { $_->[0] =~ /^(?:X-Line-.*|Cookie)$/ }
        @{ $entry->{raw_headers} } ], [ 1 .. 18, 'c=1' ], "$path: all of them");
}

done_testing();
