#!/usr/bin/perl

# The attack: SIGKILL for a worker that is changing the shared zone, in the
# middle of it, while it holds the lock: a tree half balanced, a record that is
# linked twice, one that is half gone.  No files are there to fall back to.  The
# promise: the zone is built again from what is in it; every company stays
# connected with the tokens that Intuit gave last, and who was signed in stays
# so.  Who was killed while he only looked has damaged nothing, and nothing is
# built again: with a million sessions that takes seconds.  Nothing of the kind
# is in a release.
#
# Rows: F-PRC-01

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

my $ROUNDS = $ENV{TEST_ALL} ? 25 : 1;

my $t = Test::Intuit->new();
watch($t);

my $POINTS = $t->dir . '/points';
my @REALMS = qw(9130347957983546 4620816365041297150 193514292156789);

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<"CONF");
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;
env INTUIT_POINTS=$POINTS;

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

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location ~ ^/v3/company/(?<company>\\d+)/ {
            intuit_proxy books realm=\$company;
        }
    }
}
CONF

$t->allow(qr/exited on signal 9/);
$t->allow(qr/shared memory zone "intuit" was locked by/);

mkdir $POINTS or die "$POINTS: $!";
$t->write_file('html/index.html', 'hello');
$t->sim->config(rotate_after => 0);
$t->start;

my @jars = map { $t->signed_in(realm => $REALMS[$_ % @REALMS]) } 0 .. 8;

# how the zone comes to be changed in such a way
my %provoked = (
    'zone-locked'    => sub { $t->get('/', -jar => $jars[0]) },
    'zone-insert'    => sub { sign_in() },
    'zone-remove'    => sub { $t->get('/intuit/logout', -jar => $jars[-1]);
        $t->post('/intuit/logout', '', -jar => pop @jars,
            Origin => 'http://localhost:' . $t->port) },
    'zone-twice'     => sub { sign_in() },
    'zone-exchange'  => sub { sign_in() },
    'zone-exchanged' => sub { sign_in() },
);

for my $round (1 .. $ROUNDS) {

    for my $point (sort keys %provoked) {
        my $built = log_has('was built again');
        my $gone = ($point eq 'zone-remove');

        push @jars, $t->signed_in(realm => $REALMS[0]) if @jars < 10;

        $t->write_file("points/$point", '');
        eval { $provoked{$point}->() };

        ok($t->wait_until(sub { !-e "$POINTS/$point" }), "killed at $point");
        $t->replaced or die "no new worker";

        is(scalar(grep { $t->get('/', -jar => $_)->body eq 'hello' } @jars),
            scalar @jars, '... all are still signed in');
        # who has changed nothing yet leaves nothing to build
        $built++ if $point ne 'zone-locked';
        is(log_has('was built again'), $built, $point eq 'zone-locked'
            ? '... the zone was whole' : '... the zone was built again');

        for my $realm (@REALMS) {
            my $r = $t->get("/v3/company/$realm/companyinfo/$realm", -json => 1);
            is($r->status, 200, "... company $realm is connected");
        }

        is($t->get('/', -jar => $t->signed_in(realm => $REALMS[1]))->body,
            'hello', '... and one can sign in');
    }
}

# the release knows nothing of it
my $path = Test::Intuit::variant() eq 'static' ? $ENV{TEST_NGINX}
    : Test::Intuit::module();
my $release = "$FindBin::Bin/../build/release/ngx_http_intuit_auth_module.so";

ok(content($path) =~ /INTUIT_POINTS/, 'there are such points in this build');

SKIP: {
    skip 'there is no release', 1 if !-e $release;
    ok(content($release) !~ /INTUIT_POINTS|zone-twice|lease-taken|file-renamed/,
        '... and none in the release');
}

done_testing();


# which brings the company a second pair of tokens
sub sign_in {
    return $t->login($t->jar, '/', realm => $REALMS[rand @REALMS]);
}

sub content {
    open my $fh, '<:raw', $_[0] or die "$_[0]: $!";
    local $/;
    return scalar <$fh>;
}
