#!/usr/bin/perl

# The promise: during an upgrade a host whose records are of a newer version
# shares a store with one that knows the older only.  What that cannot read it
# does not use, does not take for something else, and does not overwrite: the
# browser signs in again, the company's connection waits; and all is there when
# it has been upgraded, too.
# The attack: a session and a refreshed connection of the next version.
#
# Slow, as that version is built: a part of "make test-all".
#
# Rows: F-RED-06

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Hosts;
use Test::Intuit::Plant;
use Test::Intuit::Redis;

plan(skip_all => 'slow; make test-all runs it') if !$ENV{TEST_ALL};
plan(skip_all => 'with a build of its own') if $ENV{TEST_VARIANT};
Test::Intuit::Redis->needed;

# the next version: it reads this one, too

my $copy = Test::Intuit::Plant->new;
my $record = $copy->slurp('src/ngx_intuit_record.c');
$record =~ s/(RECORD_VERSION +)4$/${1}5/m or die 'no version';
$record =~ s/(RECORD_PACKED +)5 /${1}6 / or die 'no version of sessions';
$record =~ s/version == NGX_INTUIT_RECORD_PACKED/version >= 5/ or die 'no older session';
$copy->write('src/ngx_intuit_record.c', $record);

my ($failed, $said) = do {
    local @ENV{qw(TEST_MODULE TEST_NGINX MAKEFLAGS MAKELEVEL)};
    $copy->run('t/tools/build-module.sh debug');
};
is($failed, 0, 'the next version is built') or diag $said;

my $s = Test::Intuit->new(sim => 0, label => 'store');
my $redis = Test::Intuit::Redis->start(t => $s);

my ($old, $new) = hosts(2, <<'EOC', later => 1, values => { STORE => $redis->port });
load_module %%MODULE%%;
error_log logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log logs/access.log;
    intuit_limit off;

    intuit_store shared {
        server 127.0.0.1:%%STORE%%;
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
            add_header X-User $intuit_claim_email;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
EOC

my $realm = '9130347957983546';
my $api = "/v3/company/-/companyinfo/$realm";

sub newer {
    my ($host) = @_;
    my $module = $copy->dir . '/build/debug/ngx_http_intuit_auth_module.so';
    $host->write_file('nginx.conf', $host->read_file('nginx.conf') =~ s/load_module [^;]+/load_module $module/r);
}

sub page { my ($host, $jar) = @_; return $host->get('/', -jar => $jar, -browser => 1) }
sub refused { scalar grep { ($_->{status} // 0) >= 400 } $old->sim->journal(kind => 'token') }

newer($new);
$_->start for $old, $new;
$old->sim->config(rotate_after => 0);

# the newer one reads the older one's

my $jar = $old->signed_in(realm => $realm);
is(page($_, $jar)->status, 200, "signed in on $_->{label}") for $old, $new;
is($_->get($api)->status, 200, "connected on $_->{label}") for $old, $new;

# it refreshes: the older one cannot read what is there now

$old->sim->control('POST', '/expire-access', {});
is($new->get($api)->status, 200, 'the newer one refreshes');
my ($name) = $redis->keys('intuit:c:*');
my $written = $redis->command('GET', $name);

for (1 .. 3) {
    my $status = $old->get($api)->status;
    ok($status == 401 || $status == 503, 'the older one says that it cannot') or diag $status;
}

ok($old->wait_log(qr/connection in the shared store cannot be read: .* another version/), '... and the log says why');
is($redis->command('GET', $name), $written, '... it has overwritten nothing');
is(refused(), 0, '... and has sent no token that Intuit had replaced');
is($new->get($api)->status, 200, 'the newer one goes on');

# a session of the newer one

my $fresh = $old->jar;
my $r = page($new, $fresh);
my $callback = $old->consent($fresh, $r->header('Location'), realm => $realm);
is($new->get($callback, -browser => 1, -jar => $fresh, 'Sec-Fetch-Site' => 'cross-site')->status, 302, 'a login on the newer one');
is(page($new, $fresh)->header('X-User'), 'ada@example.com', '... is one there');

$r = page($old, $fresh->clone);
is($r->status, 302, 'on the older one it is none');
is($r->header('X-User'), undef, '... and nobody else');
is(page($new, $fresh)->status, 200, '... but still on the newer one');

# the upgrade goes on

$old->stop;
newer($old);
$old->start;

is(page($old, $fresh)->header('X-User'), 'ada@example.com', 'upgraded: the session is there');
is($old->get($api)->status, 200, '... and the connection');
is(refused(), 0, '... of which no token was lost');

done_testing;
