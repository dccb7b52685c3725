#!/usr/bin/perl

# Every login ends.  nginx's own read timeout starts again with every byte, so
# an answer that drips would hold a browser for hours: the job has one total
# deadline.  Meanwhile nobody else notices, and afterwards nothing is stuck.
#
# Rows: NGX-W2 F-NET-04 F-NET-05 F-NET-07

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::Intuit;
use Test::Intuit::Attempt;

my $t = Test::Intuit->new;

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

my $conf = <<'CONF';
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
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;
        %%TIMES%%
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location / {
            root %%DIR%%/html;
        }

        location = /static {
            auth_intuit off;
            root %%DIR%%/html;
            try_files /index.html =404;
        }
    }
}
CONF

# What has to end soon, what has to get as far as to what does not answer, and
# what has to work, on a machine that is busy as well.
my ($short, $longer, $patient) = map { $conf =~ s/%%TIMES%%/$_/r }
    'connect_timeout 250ms; read_timeout 600ms;', # its timers may be 300 ms off
    'connect_timeout 500ms; read_timeout 3s;', '';

$t->conf($patient)->start;

# new workers, which know where to ask
sub with {
    my ($text) = @_;
    $t->sim->reset('scripts');
    $t->reload($text);
    $t->wait_until(sub { $t->get('/', -browser => 1)->status == 302 });
}

my $true = JSON::PP::true;
my %slow = (
    'hangs' => { hang => $true },
    'hangs after the work' => { hang => $true, effect => $true },
    'drips' => { drip => { bytes => 1, interval_ms => 50 } },
    'drips its head' => { drip => { bytes => 1, interval_ms => 50,
        head => $true } },
    'sends a head and hangs' => { keep => $true,
        raw => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{" },
    'sends a chunk and hangs' => { keep => $true,
        raw => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n" },
    'sends early hints and hangs' => { keep => $true,
        raw => "HTTP/1.1 103 Early Hints\r\n\r\n" },
);

$t->sim->config(id_token_realmid => 0);      # so that CompanyInfo is read

accepted($t, 'nobody is slow', []);

# -- the token endpoint

with($short);

for my $name (sort keys %slow) {
    # what comes after an early hint is read as its body, by some versions
    next if $name =~ /early/;

    refused($t, "the token endpoint $name", 503, 'temporarily_unavailable',
        [ { kind => 'token', action => $slow{$name} } ]);
}

my ($r, $jar) = attempt($t, [ { kind => 'token',
    action => $slow{'sends early hints and hangs'} } ]);

like($r->status, qr/^50[23]$/, 'the token endpoint sends early hints');

# -- the calls after it

with($longer);

refused($t, "CompanyInfo $_", 503, 'temporarily_unavailable',
    [ { kind => 'api', action => $slow{$_} } ], asked => 'api 1 token 1')
    for 'hangs', 'drips';

for ('hangs', 'drips') {
    with($longer);
    ($r, $jar) = attempt($t, [ { kind => 'jwks', action => $slow{$_} } ]);

    is($r->status, 503, "the keys' endpoint $_: 503");
    is($t->sim->count(kind => 'api'), 0, 'the token is not used');
}

$t->sim->reset('scripts');
$t->sim->script({ kind => 'discovery', times => -1, action => $slow{drips} });
$t->reload($short);
is($t->get('/', -browser => 1)->status, 503, 'the document drips: 503');

ok((grep { /intuit job took longer than 1100 ms/ } $t->log_lines),
    'the log says why');

# -- while it lasts

$t->sim->reset('scripts');
ok($t->wait_until(sub { $t->get('/', -browser => 1)->status == 302 }),
    'it heals');
with($longer);
accepted($t, 'a login', []);

$t->sim->reset('journal', 'scripts');
$t->sim->script({ kind => 'token', times => -1, action => { hang => $true } });

my @waiting = map {
    my $jar = $t->jar;
    my $r = $t->get('/', -jar => $jar, -browser => 1);
    my $callback = $t->consent($jar, $r->header('Location'));

    { path => $callback, cookie => $jar->header_for($callback) };
} 1 .. 20;

for my $one (@waiting) {
    $one->{c} = $t->connect;
    $one->{c}->send("GET $one->{path} HTTP/1.1\r\nHost: localhost\r\n"
        . "Cookie: $one->{cookie}\r\nConnection: close\r\n\r\n");
}

$t->sim->wait_for(kind => 'token', count => 20);

is($t->get('/static')->body, "the tool\n", 'other pages are served');

# half of the browsers leave
$_->{c}->close for @waiting[0 .. 9];

is(join(' ', map { $_->{c}->response->status } @waiting[10 .. 19]),
    join(' ', (503) x 10), 'everybody is told');

$t->sim->reset('scripts');
accepted($t, 'and afterwards', []);

# jobs without a client end as well: nginx can end
$t->sim->script({ kind => 'token', times => -1, action => { hang => $true } });

$jar = $t->jar;
my $callback = $t->consent($jar,
    $t->get('/', -jar => $jar, -browser => 1)->header('Location'));
my $c = $t->connect;

$t->sim->reset('journal');
$c->send("GET $callback HTTP/1.1\r\nHost: localhost\r\nCookie: "
    . $jar->header_for($callback) . "\r\n\r\n");
$t->sim->wait_for(kind => 'token');
$c->close;

ok($t->reload, 'a worker ends while a login is under way');

done_testing;
