#!/usr/bin/perl

# The promise: a host looks for connections in the store that it shares, a little
# at a time, and takes those that are its own; sessions do not go for them.
# The attack: thousands of names that look like connections, of every type and
# size, and true ones under other names; the keys of another application; a zone
# that is too small for all; a user of the store who may not ask for names.
#
# Rows: F-RED-04, F-RED-06, F-SHM-01

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Hosts;
use Test::Intuit::Redis;

Test::Intuit::Redis->needed;

my $PASSWORD = 'a-password-of-the-store';
my $s = Test::Intuit->new(sim => 0, label => 'store');
my $redis = Test::Intuit::Redis->start(t => $s);

$s->write_secret('password', $PASSWORD);

my ($t, $b, $small, $limited) = hosts(4, <<'EOC', later => 1, values => { STORE => $redis->port });
load_module %%MODULE%%;
worker_processes 2;
error_log logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log logs/access.log;
    intuit_limit off;
    intuit_shared_zone zone=intuit:1m;

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
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }

        location = /connect {
            intuit_connect books;
        }

        location = /status {
            intuit_status format=json;
        }
    }
}
EOC

my $REALM = '9130347957983546';
my $API = "/v3/company/-/companyinfo/$REALM";

sub edit {
    my ($host, $from, $to) = @_;
    my $conf = $host->read_file('nginx.conf');
    $conf =~ s/\Q$from\E/$to/ or die "no $from";
    $host->write_file('nginx.conf', $conf);
}

sub total { my ($host) = @_; return $host->get('/status', -json => 1)->json->{connections}{total} }

sub knows {
    my ($name, $host, $count) = @_;
    ok($host->wait_until(sub { total($host) == $count }, 60), $name) or diag total($host);
}

sub connected {
    my ($realm) = @_;
    my $token = $t->sim->issue(realm => "$realm")->{refresh_token};
    my $r = $t->post('/connect', "realm=$realm&refresh_token=$token", -json => 1,
        'Content-Type' => 'application/x-www-form-urlencoded');
    $r->status == 200 or die $r->body;
}

sub said { my ($host, $pattern) = @_; return scalar grep { /$pattern/ } $host->log_lines }

$t->start;
my $jar = $t->signed_in(realm => $REALM);

# what only looks like connections

my ($true) = $redis->keys('intuit:c:*');
my $made = $redis->command('EVAL', <<'LUA', 1, $true);
local abc = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
local v = redis.call('GET', KEYS[1])
local number = string.sub(v, 1, 20)
local function name(n)
    local s = {}
    for i = 1, 42 do
        n = (n * 16807) % 2147483647
        s[i] = string.sub(abc, n % 64 + 1, n % 64 + 1)
    end
    return 'intuit:c:' .. table.concat(s) .. 'A'
end
for i = 1, 2000 do redis.call('SET', name(i), number .. 'and no more') end
for i = 2001, 2020 do redis.call('SET', name(i), v) end
for i = 2021, 2040 do redis.call('SADD', name(i), v) end
for i = 2041, 2060 do redis.call('RPUSH', name(i), v, v) end
for i = 2061, 2080 do redis.call('SET', name(i), string.rep('0', 20) .. string.rep('x', 200000)) end
for i = 2081, 2100 do redis.call('SET', name(i), 'no number in front of it') end
for i = 2101, 2120 do redis.call('SET', name(i), '') end
for i = 2121, 2140 do redis.call('SET', name(i) .. 'A', v) end
for i = 2141, 2160 do redis.call('SET', 'intuit:c:' .. string.rep('*', 42) .. string.char(i % 256), v) end
for i = 1, 10000 do redis.call('SET', 'application:' .. i, v) end
return 1
LUA
is($made, 1, 'thousands of names that are no connections');

$b->start;
knows('a new host knows the one that is', $b, 1);
is($b->get($API)->status, 200, '... which works');
is($b->get('/', -jar => $jar)->status, 200, '... as its sessions do');
ok($b->wait_log(qr/\[warn\].* intuit store "shared" has connections that cannot be read here/), 'the log says that there are others');

my %junk = map { $_ => 1 } grep { $_ ne $true } $redis->keys('intuit:c:*'), $redis->keys('application:*');

connected('4000000000000');
knows('one that comes then is seen', $b, 2);
is(said($b, 'cannot be read'), 1, '... and of the others it is said once');
is(said($b, '\[error\]'), 0, '... and no more') or diag grep { /\[error\]/ } $b->log_lines;

my @junk = keys %junk;
$redis->command('DEL', splice @junk, 0, 1000) while @junk;

# more than there is room for

connected($_) for 5000000000001 .. 5000000000150;
knows('a hundred and more', $b, 152);

edit($small, 'zone=intuit:1m', 'zone=intuit:256k');
$small->start;
my $mine = $small->get('/', -jar => $jar);
is($mine->status, 200, 'a host with little room');
ok($small->wait_log(qr/\[warn\].* more connections than there is room for here: make intuit_shared_zone larger/), '... says so');
is($small->get($API)->status, 200, '... who asks is served');
is($small->get('/', -jar => $jar)->status, 200, '... and who is signed in');
is(said($small, 'sessions evicted'), 0, '... and nobody has gone for them');
cmp_ok(total($small), '>', 20, '... of which there are some');
cmp_ok(total($small), '<', 152, '... but not all');

# a user who may not ask for names: as documented for the first version

my @user = ('ACL', 'SETUSER', 'nginx', 'on', ">$PASSWORD");
my ($rights) = documented() =~ /ACL SETUSER nginx on >PASSWORD ([^`]+)`/;
my @rights = split ' ', $rights;

is(scalar(grep { /^\+(?:scan|getrange)$/ } @rights), 2, 'the documents name what is needed');
is($redis->command(@user, grep { !/^\+(?:scan|getrange)$/ } @rights), 'OK', 'a user without it');

edit($limited, 'intuit_store shared {', 'intuit_store shared { user nginx; password_file ' . $s->dir . '/password;');
$limited->start;
ok($limited->wait_log(qr/\[warn\].* its user needs \+scan and \+getrange there/), '... the log says so');
is($limited->get('/', -jar => $jar)->status, 200, '... all else works: a session');
is($limited->get($API)->status, 200, '... a company that is asked for');
my $new = $t->jar;
my $callback = $t->consent($new, $limited->get('/', -browser => 1, -jar => $new)->header('Location'), realm => $REALM);
is($limited->get($callback, -browser => 1, -jar => $new)->status, 302, '... a login');
is($limited->get('/', -jar => $new)->status, 200, '... which is one');
is(said($limited, 'intuit store'), 1, '... and it was said once');

is($redis->command(@user, @rights), 'OK', 'a user with it');
$limited->reload;
knows('... knows all', $limited, 152);

done_testing;

sub documented {
    open my $file, '<', "$FindBin::Bin/../docs/several-hosts.md" or die "several-hosts.md: $!";
    local $/;
    return scalar <$file>;
}
