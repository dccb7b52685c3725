#!/usr/bin/perl

# Intuit's hosts are looked up by nginx's own resolver, in the background of
# a login: whatever the name server does, logins say 503 and heal by
# themselves.  A browser that leaves during a look-up loses nothing: the code,
# which works once, is exchanged all the same.
#
# Rows: LES-37 F-NET-01

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp ();
use Test::Intuit;
use Test::Intuit::Attempt;
use Test::Intuit::Dns;

my $certs = File::Temp->newdir;
my $t = Test::Intuit->new(sim => [ '--tls', '--dir', "$certs",
    '--host', 'localhost' ]);
my $dns = Test::Intuit::Dns->start('nxdomain');
my $port = $dns->port;

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

my $conf = <<'CONF' =~ s/%%DNS%%/$port/r =~ s/%%CERTS%%/$certs/r;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    resolver 127.0.0.1:%%DNS%% ipv6=off;

    intuit_provider books {                         # https://localhost:...
        environment             sandbox;
        config_url              %%SIM%%/.well-known/openid_configuration;
        api_url                 %%SIM%%;
        client_id               sim-client-id;
        client_secret_file      %%DIR%%/secret;
        scope                   openid com.intuit.quickbooks.accounting;
        redirect_uri            http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm             any;
        probe                   off;
        ssl_trusted_certificate %%CERTS%%/ca.crt;
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

        location /v3/company/ {
            intuit_proxy books;
        }
    }
}
CONF

my $patient = $conf =~ s/%%TIMES%%//r;
my $short = $conf =~ s/%%TIMES%%/connect_timeout 500ms; read_timeout 500ms;/r;

$t->conf($short)->start;

# -- no address

for my $how (qw(nxdomain servfail refused empty hold)) {
    $dns->answers($how);
    $t->reload if $how ne 'nxdomain';

    my $before = $dns->queries;
    my $r = $t->get('/', -browser => 1);

    is($r->status, 503, "$how: 503");
    ok($r->header('Retry-After'), 'try again later');
    cmp_ok(scalar($dns->queries), '>', $before, 'it was looked up');
    is($t->get('/static')->status, 200, 'other pages are served');
}

is($t->sim->count, 0, 'nothing was sent');

# -- and then there is one

$dns->answers('address');

ok($t->wait_until(sub { $t->get('/', -browser => 1)->status == 302 }),
    'it heals');

$t->reload($patient);

my $jar = accepted($t, 'a login', []);
my $r = $t->get('/v3/company/-/companyinfo/9130347957983546', -jar => $jar,
    -json => 1);

is($r->status, 200, 'and the API');
is(join(' ', sort { $a cmp $b } keys %{ { map { ($_->{tls}{sni} // '-') => 1 }
    grep { ($_->{via} // '') ne 'control' } $t->sim->journal } }),
    'localhost', 'over TLS, with the name');

# -- the name server is gone during a login

$t->reload($short);
$t->wait_until(sub { $t->get('/', -browser => 1)->status == 302 });
$dns->answers('hold');
$dns->forgotten;

refused($t, 'no answer', 503, 'temporarily_unavailable', [], asked => '');

# -- the browser leaves during a look-up

$dns->answers('address');
$t->reload($patient);
$jar = $t->jar;

my $callback = $t->consent($jar,
    $t->get('/', -jar => $jar, -browser => 1)->header('Location'));

$dns->answers('hold');
$dns->forgotten;
$t->sim->reset('journal');

my $before = $dns->queries;
my $c = $t->connect;

$c->send("GET $callback HTTP/1.1\r\nHost: localhost\r\nCookie: "
    . $jar->header_for($callback) . "\r\n\r\n");

ok($t->wait_until(sub { $dns->queries > $before }), 'being looked up');

$c->close;
$dns->answers('address');

is(scalar($t->sim->wait_for(kind => 'token', answered => 1)), 1,
    'the code is exchanged');

$r = $t->get($callback, -jar => $jar, -browser => 1);

is($r->status, 302, 'a reload of the page finds the login');
is($t->get('/', -jar => $jar)->status, 200, 'and is signed in');
is($t->sim->count(kind => 'token'), 1, 'with one exchange');

done_testing;
