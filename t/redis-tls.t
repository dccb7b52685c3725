#!/usr/bin/perl

# The promise: the store is spoken to over TLS where that is said, by a user
# that may do no more than docs/several-hosts.md says; its certificate is verified
# by the name in "server".
# The attack: a certificate for another name, of another authority; a user who
# lacks a right; a password that anybody on the way could read.
#
# Rows: F-RED-01

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Hosts;
use Test::Intuit::Redis;

Test::Intuit::Redis->needed;

my $PASSWORD = 'a-password-of-the-store';
my $s = Test::Intuit->new(sim => 0, label => 'store');
my $dir = $s->dir;

$s->write_secret('password', $PASSWORD);

sub certificate {
    my ($file, $name) = @_;
    my $said = `cd $dir && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$name -addext subjectAltName=DNS:$name -keyout $file.key -out $file.crt 2>&1`;
    die "openssl: $said" if $?;
}

certificate('good', 'localhost');
certificate('other', 'redis.example.com');

my ($acl) = join('', do { open my $f, '<', "$FindBin::Bin/../docs/several-hosts.md" or die; <$f> })
    =~ /`ACL SETUSER nginx ([^`]+)`/;
my @rights = map { s/^>PASSWORD$/>$PASSWORD/r } split ' ', $acl // '';
cmp_ok(scalar(@rights), '>=', 6, 'the page about several hosts says what rights it needs');

my $redis = Test::Intuit::Redis->start(t => $s, 'tls-port' => $s->port('tls'),
    'tls-cert-file' => 'good.crt', 'tls-key-file' => 'good.key',
    'tls-ca-cert-file' => 'good.crt', 'tls-auth-clients' => 'no');

is($redis->command('ACL', 'SETUSER', 'nginx', @rights), 'OK', 'and they are rights');

my $conf = <<'EOC';
load_module %%MODULE%%;
error_log logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log logs/access.log;

    intuit_store shared {
        server                   localhost:%%TLS%%;
        user                     nginx;
        password_file            %%STORE%%/password;
        ssl                      on;
        ssl_trusted_certificate  %%STORE%%/%%CA%%.crt;
        database                 2;
    }

    intuit_provider books {
        environment          sandbox;
        config_url           %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url              %%SIM%%;
        client_id            sim-client-id;
        client_secret_file   %%DIR%%/client_secret;
        scope                openid email com.intuit.quickbooks.accounting;
        redirect_uri         http://localhost:%%FRONT%%/intuit/callback;
        allow_realm          any;
        probe                off;
        store                shared;
        encryption_key_file  %%KEY%%;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        server_name localhost;

        location / {
            auth_intuit books;
            root html;
        }

        location /v3/company/ {
            auth_intuit books;
            intuit_proxy books;
        }

        location = /disconnect {
            intuit_disconnect books;
        }
    }
}
EOC

my $realm = '9130347957983546';
my $api = "/v3/company/-/companyinfo/$realm";

my ($t, $b, $c) = hosts(3, $conf, values => { STORE => $dir, CA => 'good',
    TLS => $s->port('tls') });

my $jar = $t->signed_in(realm => $realm);

for my $host ($t, $b) {
    is($host->get('/', -jar => $jar)->status, 200, "signed in on $host->{label}");
    is($host->get($api, -jar => $jar)->status, 200, '... and connected');
}

$redis->command('CONFIG', 'RESETSTAT');
is($b->get('/', -jar => $jar)->status, 200, 'again') for 1 .. 20;
cmp_ok($redis->command('INFO', 'stats') =~ /total_connections_received:(\d+)/ && $1,
    '<=', 2, 'connections are kept');

# what one host forgets the other one does not use

is($c->post('/disconnect', "realm=$realm")->status, 200,
    'a disconnect on a host that had never seen the company');
is($t->sim->count(kind => 'revoke'), 1, '... has it revoked at Intuit');

for my $host ($t, $b) {
    ok($host->wait_until(sub { $host->get($api, -jar => $jar)->status != 200 }),
        "... and is one on $host->{label}");
}

like($b->get($api, -jar => $jar, -json => 1)->body, qr/reconnect_required|not_connected/,
    '... which says what is to be done');

$jar = $t->signed_in(realm => $realm);
ok($b->wait_until(sub { $b->get($api, -jar => $jar)->status == 200 }),
    'a new login connects it on both');

# a right that is missing

$redis->command('ACL', 'SETUSER', 'nginx', '-eval');
is($t->login($t->jar, '/', realm => $realm)->status, 503, 'without a right: 503');
ok($t->wait_log(qr/intuit store "shared" answered "NOPERM": look at "user", "password_file" and the user's ACL there/),
    'and the log says where to look');
$redis->command('ACL', 'SETUSER', 'nginx', '+eval');

# certificates

for my $case ([ 'good', 'other', 'another authority' ], [ 'other', 'other', 'another name' ]) {
    my ($own, $ca, $what) = @$case;

    $redis->command('CONFIG', 'SET', 'tls-cert-file', "$own.crt", 'tls-key-file', "$own.key");

    my ($other) = hosts(1, $conf, values => { STORE => $dir, CA => $ca,
        TLS => $s->port('tls') });
    is($other->login($other->jar, '/', realm => $realm)->status, 503,
        "a certificate of $what: 503");
    ok($other->wait_log(qr/certificate verify error|certificate does not match/),
        '... and the log says why');
}

done_testing;
