#!/usr/bin/perl

# The promise: hosts that share a store have one quota for a company.  What they
# send together is never over it, and a crowd over all of them takes no longer
# than one on a single host; a 429 of Intuit holds all of them up.
# The attack: the simulator enforces Intuit's limits; three hosts are asked at
# once, each of which could use them up; who waits leaves; batches; the store
# dies, and comes back empty.
#
# Rows: BF-11

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Crowd;
use Test::Intuit::Hosts;
use Test::Intuit::Redis;

Test::Intuit::Redis->needed;

my $s = Test::Intuit->new(sim => 0, label => 'store');
my $redis = Test::Intuit::Redis->start(t => $s);

my @hosts = hosts(3, <<'EOC', sim => ['--quota'], values => { STORE => $redis->port });
load_module %%MODULE%%;
worker_processes 2;
error_log logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    log_format limit '$request_uri $status $intuit_limit_status';
    access_log logs/access.log limit;

    intuit_store shared {
        server           127.0.0.1:%%STORE%%;
        connect_timeout  500ms;
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
        add_header X-Limit $intuit_limit_status always;

        location / {
            auth_intuit books;
            root html;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }

        location /few/ {
            rewrite ^/few(/.*) $1 break;
            intuit_limit on rate=6r/m batch_rate=2r/m queue=4 timeout=10m;
            intuit_proxy books realm=193514292156789;
        }

        location /none/ {
            rewrite ^/none(/.*) $1 break;
            intuit_limit on rate=6r/m batch_rate=2r/m queue=0;
            intuit_proxy books realm=193514292156789;
        }

        location /batches/ {
            rewrite ^/batches(/.*) $1 break;
            intuit_limit on rate=40r/m batch_rate=2r/m queue=0;
            intuit_proxy books realm=193514292156789;
        }

        location /later/ {
            rewrite ^/later(/.*) $1 break;
            intuit_limit on rate=40r/m batch_rate=2r/m queue=1 timeout=10m;
            intuit_proxy books realm=193514292156789;
        }

        location /other/ {
            rewrite ^/other(/.*) $1 break;
            intuit_limit on rate=6r/m queue=0;
            intuit_proxy books realm=4620816365041297150;
        }
    }
}
EOC

my ($t, $b, $c) = @hosts;
my %realm = (v3 => '9130347957983546', few => '193514292156789',
    other => '4620816365041297150');
my $crowd = "/v3/company/-/companyinfo/$realm{v3}";

sub few   { $_[0]->get("/$_[1]/v3/company/-/companyinfo/$realm{few}", -json => 1) }
sub other { $_[0]->get("/other/v3/company/-/companyinfo/$realm{other}", -json => 1) }
sub batch { $_[0]->post("/$_[1]/v3/company/$realm{few}/batch", '{"BatchItemRequest":[]}',
    -json => 1, 'Content-Type' => 'application/json')->status }
sub asked { $t->sim->count(kind => 'api', realm => $realm{$_[0]}) }
sub slots { my %n = map { $_ => 0 + $redis->command('LLEN', $_) } $redis->keys("intuit:$_[0]:*"); return %n }

$t->signed_in(realm => $_) for values %realm;
$t->sim->reset('journal', 'data');

# a crowd, over all hosts

my $N = $ENV{TEST_ALL} ? 90 : 45;
my ($status) = crowd_statuses(90, map { crowd($_, $N / 3, $crowd) } @hosts);

is_deeply($status, { 200 => $N }, 'all are served');
is($t->sim->count(kind => 'api', status => 429), 0, 'no 429 of Intuit');
is(asked('v3'), $N, 'each is sent once');

my ($list) = $redis->keys('intuit:q:*');
my @slots = @{ $redis->command('LRANGE', $list, 0, -1) };

is(scalar(@slots), $N, 'each has a slot in the store') or diag "@slots";
cmp_ok($slots[-1] - $slots[0], '<=', 1125 + ($N - 9) * 126,
    '... as near to the next one as on one host');
cmp_ok($slots[-1] - $slots[0], '>=', ($N - 10) * 125, '... and no nearer');

# what one host has used, another has not

is(few($t, 'few')->status, 200, 'one of six') for 1 .. 3;
is(few($_, 'few')->status, 200, "... on $_->{label}") for $b, $c, $b;
my $r = few($c, 'none');
is($r->status, 429, 'the seventh is refused');
is($r->json->{error}, 'quota_exceeded', '... here');
is($r->header('X-Limit'), 'REJECTED', '... by the quota');
cmp_ok($r->header('Retry-After'), '<=', 61, '... for less than a minute');
is(asked('few'), 6, 'Intuit has not seen it');

# who leaves gives his slot back

my %before = slots('q');
my @waiting = crowd($b, 2, "/few/v3/company/-/companyinfo/$realm{few}");
ok($b->wait_until(sub { my %now = slots('q'); grep { ($now{$_} // 0) == ($before{$_} // 0) + 2 } keys %now }),
    'two wait');
close $_ for @waiting;
ok($b->wait_until(sub { my %now = slots('q'); !grep { $now{$_} != $before{$_} } keys %before }),
    'they leave, and so do their slots');

# a 429 of Intuit is one for all

$t->sim->script({ kind => 'api', action => { status => 429 } });
is(other($t)->status, 429, 'Intuit refuses one');
ok($b->wait_until(sub { grep { $redis->command('HGET', $_, 'h') } $redis->keys('intuit:h:*') }),
    'which the store knows');

for my $host ($b, $c, $t) {
    $r = other($host);
    is($r->status, 429, "the next is refused on $host->{label}");
    is($r->json->{error}, 'quota_exceeded', '... here');
}

is($t->sim->count(kind => 'api', status => 429), 1, 'Intuit was asked once');

# anew, for Intuit as well: what was sent a moment ago is forgotten by all

$redis->command('DEL', $_) for map { $redis->keys("intuit:$_:*") } qw(q h);
$redis->stop;
$_->stop for @hosts;
$redis->run;
$t->sim->reset('scripts', 'journal', 'data');
$_->start for @hosts;
$t->signed_in(realm => $_) for @realm{qw(other few)};
$t->sim->reset('journal');

# batches

is(batch($t, 'batches'), 200, 'a batch');
is(batch($b, 'batches'), 200, '... and one on another host');
is(batch($c, 'batches'), 429, 'a third one is too many');
my $c3 = $t->connect;
$c3->send("POST /later/v3/company/$realm{few}/batch HTTP/1.1\r\nHost: localhost\r\n"
    . "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
ok($t->wait_log(qr/delaying request, wait: [1-6]\d{4} ms, realm "$realm{few}"/), '... or waits');
is(few($_, 'batches')->status, 200, "nobody else does, on $_->{label}") for @hosts;
my ($turns) = $redis->keys('intuit:b:*');
is($redis->command('LLEN', $turns), 3, 'it has its turn');
$c3->close;
ok($t->wait_until(sub { $redis->command('LLEN', $turns) == 2 }), '... until it leaves');

# without the store each has its part: of six, two; one of them was used

is(other($_)->status, 200, "$_->{label} has one") for @hosts, $t;
is(other($_)->status, 200, "$_->{label} has one more") for $b;
$redis->stop;

my %got;
$got{ other($_)->status }++ for map { ($_) x 3 } @hosts;
is_deeply(\%got, { 200 => 1, 429 => 8 }, 'without the store: the last of the last host');
is(asked('other'), 6, 'and so none is sent that is too many');

$redis->run;
ok($t->wait_until(sub { other($t)->status =~ /200|429/ && slots('q') }), 'the store is back, and empty');
cmp_ok((slots('q'))[1], '>=', 2, '... and learns what was used');

done_testing;
