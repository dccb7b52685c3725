#!/usr/bin/perl

# The attack: there is no memory, just then.  Each allocation that a login, a
# page, a call of the API, a refresh or a document takes fails once, the others
# do not.  The promise: no worker dies, nobody is let in for it, no connection is
# lost, and the next request is served.
#
# Rows: F-PRC-04

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my $t = Test::Intuit->new();
watch($t);

my $preload = $t->dir . '/no_memory.so';

plan(skip_all => 'gcc is not installed')
    if system('gcc', '-O1', '-shared', '-fPIC', '-o', $preload,
        "$FindBin::Bin/lib/no_memory.c");

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "in\n");

# which of them failed is what nginx says of it
$t->allow(qr/\[(?:emerg|alert)\] .*(?:malloc|memalign|realloc|calloc)\([^)]*\) failed/);

$t->conf(<<'CONF');
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;
env LD_PRELOAD;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events {}

http {
    access_log %%DIR%%/logs/access.log;

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
        auth_intuit books;

        location / {
            root %%DIR%%/html;
            add_header X-User $intuit_claim_email;
        }

        location /v3/company/ {
            intuit_proxy books;
        }

        location /unattended/ {
            auth_intuit off;
            rewrite ^/unattended(/.*) $1 break;
            intuit_proxy books realm=9130347957983546;
        }

        location = /status {
            auth_intuit off;
            intuit_status format=json;
        }
    }
}
CONF

my $switch = $t->write_file('no-memory', pack 'l', 0);
my $api = '/v3/company/-/companyinfo/9130347957983546';

# a new refresh token that arrives where there is no memory to read it is
# lost like one that does not arrive (refresh-rotation.t)
$t->sim->config(rotate_after => 400 * 86400);

clock(0);
$ENV{INTUIT_NO_MEMORY} = $switch;

{
    no warnings 'redefine';
    my $faketime = Test::Intuit::Refresh::faketime();
    local *Test::Intuit::Refresh::faketime = sub { "$preload:$faketime" };
    start_faked();
}

my $jar = $t->signed_in(path => '/index.html', realm => '9130347957983546');

# a login that comes to its end: the callback's answer
sub login {
    my ($fail) = @_;
    my $new = $t->jar;
    my $r = $t->get('/index.html', -jar => $new, -browser => 1);
    my $callback = $t->consent($new, $r->header('Location'),
        realm => '9130347957983546');

    $fail->();
    $r = $t->get($callback, -jar => $new, -browser => 1);

    return $r if $r->status != 302;
    return $t->get('/index.html', -jar => $new);
}

sub get { my @request = @_; return sub { $_[0]->(); $t->get(@request) } }

# name, the request, what its answer has when nothing fails, and then
my @kinds = (
    [ 'a page', get('/index.html', -jar => $jar), qr/^in$/m ],
    [ 'the start of a login', get('/index.html', -browser => 1),
        qr{/connect/oauth2\?} ],
    [ 'a stranger', get('/index.html', -json => 1), qr/login_required/ ],
    [ 'the session document', get('/intuit/session', -jar => $jar),
        qr/"authenticated":true/ ],
    [ 'the status', get('/status'), qr/"connections"/ ],
    [ 'a call of the API', get($api, -jar => $jar, -json => 1),
        qr/Harbour Lane/ ],
    [ 'an unattended one', get("/unattended$api", -json => 1),
        qr/Harbour Lane/ ],
    [ 'a login', \&login, qr/^in$/m ],
    [ 'a refresh', sub { forward(61); $_[0]->();
        $t->get("/unattended$api", -json => 1) }, qr/Harbour Lane/ ],
    [ 'a 401', sub { forward(2); $t->sim->control('POST', '/expire-access',
        { realm => '9130347957983546' }); $_[0]->();
        $t->get("/unattended$api", -json => 1) }, qr/Harbour Lane/ ],
);

sub left { return unpack 'l', $t->read_file('no-memory') }

sub fails_at {
    my ($n) = @_;
    open my $fh, '+<:raw', $switch or die "$switch: $!";
    syswrite $fh, pack 'l', $n;
}

for (@kinds) {
    my ($name, $request, $good) = @$_;
    my ($n, $tried, %odd) = (0, 0);

    # a first one has allocated what stays
    $request->(sub {});
    my @workers = $t->children;

    while (1) {
        # all of them in "make test-all"
        $n += $n > 20 && !$ENV{TEST_ALL} ? 7 : 1;

        my $r = $request->(sub { fails_at($n) });
        my $reached = left() == 0;

        fails_at(0);

        last if !$reached;
        $tried++;

        $odd{"answer to $n: " . substr $r->raw // '', 0, 300} = 1
            if $r->status == 200 && ($r->raw // '') !~ $good;
        $odd{"a worker died at $n"} = 1 if "@{[ $t->children ]}" ne "@workers";

        # the pause after a failure
        my $again;
        $t->wait_until(sub { forward(2) if $again;
            $again = $request->(sub {}); ($again->raw // '') =~ $good }, 10)
            or $odd{"after $n: " . substr $again->raw // '', 0, 300} = 1;

        last if %odd;
    }

    cmp_ok($tried, '>', 0, "$name: $tried allocations failed, one by one");
    is(join("\n", sort keys %odd), '', "$name: nobody noticed afterwards");
}

ok(!log_has('connection has ended'), 'and the company is connected');

# nginx itself says what it was reading when there was no memory for it
$t->stop;
$t->write_file('logs/error.log', join '', grep {
    !/\[emerg\].* while reading client request line, / } $t->log_lines);

done_testing();
