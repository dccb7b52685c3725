#!/usr/bin/perl

# The promise: an answer of the store is the answer to what was asked, or it is
# none.  Nobody ever gets another one's session; what cannot be read is 503, or
# a login, and the next request is served again.
# The attack: a store, or somebody before it, that cuts answers into pieces,
# gives too much, too little, other shapes, errors of all kinds, another key's
# value, or an answer when the next question has been asked.
#
# Rows: F-RED-02, F-RED-04, F-RED-06

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Hosts;
use Test::Intuit::Redis;
use Test::Intuit::Tamper;

Test::Intuit::Redis->needed;

my $s = Test::Intuit->new(sim => 0, label => 'store');
my $redis = Test::Intuit::Redis->start(t => $s);
my $tamper = Test::Intuit::Tamper->start(t => $s, port => $s->port('tamper'),
    to => $redis->port);

my ($t, $b) = hosts(2, <<'EOC', values => { STORE => $redis->port, TAMPER => $s->port('tamper') });
load_module %%MODULE%%;
error_log logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log logs/access.log;

    intuit_store shared {
        server           127.0.0.1:%%TAMPER%%;
        connect_timeout  1s;
        read_timeout     1s;
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
    }
}
EOC

# whoever comes is new to the second host
sub user {
    my ($name) = @_;
    return $t->signed_in(user => $name, realm => '9130347957983546');
}

sub page { return $b->get('/', -jar => $_[0]) }

my $r;

for my $mode (Test::Intuit::Tamper->modes) {
    next if $mode eq 'pass';

    my ($ada, $bob) = map { user($_) } qw(ada@example.com bob@example.com);

    $tamper->mode($mode);
    $r = page($ada);
    is($r->header('X-User'), undef, "$mode: nobody is believed");
    is($r->status, $mode eq 'nil' ? 401 : 503, "... $mode: and nobody in doubt is signed out");

    $tamper->mode('pass');
    $r = page($bob);
    is($r->header('X-User'), 'bob@example.com', '... the next one is himself');

    $r = page($ada);
    is($r->header('X-User'), 'ada@example.com', '... and so is the first')
        if $mode ne 'nil';
}

my $late = user('ada@example.com');
$tamper->mode('bytes');
$r = page($late);
is($r->header('X-User'), 'ada@example.com', 'an answer in single bytes is one');
$tamper->mode('pass');

# an answer that comes when others have asked since

sub held {
    my ($jar) = @_;
    my $c = $b->connect(timeout => 30);
    my $cookie = join '; ', map { "$_=" . $jar->get($_) } $jar->names;

    $tamper->mode('delay');
    $c->send("GET / HTTP/1.1\r\nHost: localhost\r\nCookie: $cookie\r\n"
        . "Accept: application/json\r\nConnection: close\r\n\r\n");
    ok($b->wait_until(sub { $tamper->held }), 'an answer is held');

    return $c;
}

for my $patience ('while it is waited for', 'when nobody waits any more') {
    my ($first, $second, $third) = map { user("$_\@example.com") } qw(ada bob carol);
    my $c = held($first);

    is(page($second)->header('X-User'), 'bob@example.com',
        "late, $patience: who asked meanwhile is himself");

    if ($patience =~ /^while/) {
        ok($tamper->release, '... it comes');
        $r = $c->response;
        is($r->header('X-User') // '', $r->status == 200 ? 'ada@example.com' : '',
            '... to the one who asked, or to nobody');

    } else {
        $r = $c->response;
        is($r->status, 503, '... who waits too long gets 503');
        is(page($third)->header('X-User'), 'carol@example.com', '... the next is herself');
        ok($tamper->release, '... it comes');
    }

    $tamper->mode('pass');
    is(page($third)->header('X-User'), 'carol@example.com', '... after it: the third');
    is(page($second)->header('X-User'), 'bob@example.com', '... the second');
    is(page($first)->header('X-User'), 'ada@example.com', '... and the first');
}

my ($first, $second) = map { user("$_\@example.com") } qw(ada bob);
my $c = held($first);
$tamper->mode('late');
$r = page($second);
is($r->header('X-User'), undef, 'late, to another one: it is no session of hers');
isnt($r->status, 200, '... she is not let in');
$tamper->release;
is($c->response->header('X-User'), undef, '... nor is the one who gets hers');
$tamper->mode('pass');
is(page($second)->header('X-User'), 'bob@example.com', '... then the second is himself');

# another key's value, part of one, another version's

my ($ada, $bob) = map { user($_) } qw(ada@example.com bob@example.com);
my %value = map { $_ => $redis->command('GET', $_) } $redis->keys('intuit:s:*');
my @names = sort keys %value;

for my $wrong (
    [ 'another session\'s', sub { $value{$names[($_[0] + 1) % @names]} } ],
    [ 'a connection\'s', sub { $redis->command('GET', ($redis->keys('intuit:c:*'))[0]) } ],
    [ 'half a', sub { substr $value{$names[$_[0]]}, 0, 100 } ],
    [ 'no', sub { '' } ],
    [ 'another version\'s', sub { my $v = $value{$names[$_[0]]}; substr($v, 20, 1) = "\x02"; $v } ])
{
    my ($what, $make) = @$wrong;

    $redis->command('SET', $names[$_], $make->($_), 'KEEPTTL') for 0 .. $#names;

    is(page($ada)->status, 401, "$what value is no session");
}

for my $name (@names) {
    $redis->command('DEL', $name);
    $redis->command('LPUSH', $name, 'x');
}

is(page($ada)->status, 503, 'of a list in its place nobody can tell');

$redis->command('SET', $_, $value{$_}, 'EX', 600) for @names;
is(page($ada)->header('X-User'), 'ada@example.com', 'its own is one again');

done_testing;
