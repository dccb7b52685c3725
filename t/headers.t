#!/usr/bin/perl

# What a client sends to be taken for somebody else never reaches the
# application: its Authorization, headers that name a user in any spelling,
# and our own cookies, which are cut out to the byte while all others stay.
#
# Rows: BF-02 BF-03 NGX-H1 LES-04 LES-10 LES-16

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    access_log %%DIR%%/logs/access.log;
    underscores_in_headers on;
    ignore_invalid_headers off;
    client_max_body_size 8m;

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

    intuit_provider staff {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email;
        redirect_uri        http://localhost:%%PORT_8080%%/staff/callback;
        allow_email         any;
        probe               off;
        cookie_name         __Host-staff;
        login_uri           /staff/login;
        logout_uri          /staff/logout;
        session_uri         /staff/session;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location / {
            root %%DIR%%/html;
        }

        location /require/ { proxy_pass %%SIM%%; }

        location /verify/ {
            auth_intuit_mode verify;
            proxy_pass %%SIM%%;
        }

        location /off/ {
            auth_intuit off;
            proxy_pass %%SIM%%;
        }

        location /forwarded/ {
            # read before the request is cleaned, and kept by nginx
            if ($http_cookie ~ nothing) { return 400; }
            if ($http_authorization ~ nothing) { return 400; }
            if ($http_x_user ~ nothing) { return 400; }

            proxy_set_header Cookie $http_cookie;
            proxy_set_header X-Was "$http_authorization$http_x_user";
            proxy_pass %%SIM%%;
        }

        location /staff/ {
            auth_intuit staff;
            proxy_pass %%SIM%%;
        }

        location /checked/ {
            auth_request /check;
            proxy_pass %%SIM%%/checked/;
        }

        location = /check {
            internal;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass %%SIM%%/check;
        }

        location /mirrored/ {
            mirror /copy;
            proxy_pass %%SIM%%;
        }

        location = /copy {
            internal;
            proxy_pass %%SIM%%/copy;
        }
    }
}
CONF

my $jar = $t->signed_in(realm => '9130347957983546', path => '/index.html');
my $id = $jar->get('__Host-intuit');

$t->sim->script({ kind => 'other', times => -1,
    action => { status => 200, body => 'app' } });

# What the application got: its headers by lower-case name.
sub sent {
    my ($path, @headers) = @_;

    $t->sim->reset('journal');
    my $r = $t->get($path, @headers);
    is($r->status, 200, "$path is served") or return {};

    my ($entry) = $t->sim->journal(kind => 'other', path => $path);
    my %all;

    push @{ $all{lc $_->[0]} }, $_->[1] for @{ $entry->{raw_headers} };
    return \%all;
}

my @mine = (Cookie => "__Host-intuit=$id");

my @names = map { my $name = $_; map { $name =~ s/[-_.]/$_/gr } '-', '_', '.' }
    qw(X-User X-Email X-Forwarded-User X-Remote-User Remote-User
       X-Auth-Request-Email X-Intuit-Realm X-Forwarded-Access-Token
       OIDC-Claim-Sub X-WebAuth-User);

push @names, 'x_FORWARDED-user', 'X.Auth_Request-Groups', 'REMOTE_USER';

for my $path ('/require/a', '/verify/a', '/off/a') {
    my $got = sent($path, @mine, 'X-Mine' => 'kept', 'X_Other' => 'kept',
        'X-User-Agent' => 'kept', (map { $_ => 'mallory' } @names),
        'x-user' => [ 'mallory', 'mallory' ]);

    is_deeply([ grep { "@{ $got->{$_} }" =~ /mallory/ } sort keys %$got ], [],
        '... nobody can name himself');
    is_deeply([ map { $got->{$_}[0] } qw(x-mine x_other x-user-agent) ],
        [ ('kept') x 3 ], '... other headers stay');
    ok(!exists $got->{cookie}, '... our cookie does not leave');
}

for my $name (qw(Authorization authorization AUTHORIZATION aUTHORIZATION)) {
    for my $path ('/require/b', '/verify/b') {
        my $got = sent($path, @mine, $name => 'Bearer client-made-this-up');
        ok(!exists $got->{authorization}, "$name: ... not the client's");
    }
}

my $got = sent('/verify/c', Authorization => 'Basic YTpi', Cookie => 'a=1');
ok(!exists $got->{authorization}, 'nor that of an anonymous client');
is($got->{cookie}[0], 'a=1', '... whose own cookies stay');

$got = sent('/off/c', Authorization => 'Basic YTpi');
is($got->{authorization}[0], 'Basic YTpi',
    'where no login is asked for Authorization is the application\'s');


# -- cookies, to the byte -----------------------------------------------------

my $ours = "__Host-intuit=$id";
my $login = '__Host-intuit-login-AbCdEfGh=' . 'x' x 40;
my $staff = '__Host-staff=' . 'y' x 43;
my $tries = '__Host-intuit-tries=1700000000.1';

for my $case (
    [ 'last',            [ "a=1; b=2; $ours" ],         [ 'a=1; b=2' ] ],
    [ 'first',           [ "$ours; a=1; b=2" ],         [ 'a=1; b=2' ] ],
    [ 'in the middle',   [ "a=1; $ours; b=2" ],         [ 'a=1; b=2' ] ],
    [ 'alone',           [ $ours ],                     undef ],
    [ 'twice',           [ "$ours; a=1; $ours" ],       [ 'a=1' ] ],
    [ 'without blanks',  [ "a=1;$ours;b=2" ],           [ 'a=1;b=2' ] ],
    [ 'in its own line', [ 'a=1; b=2', $ours ],         [ 'a=1; b=2' ] ],
    [ 'in both lines',   [ "a=1; $ours", "$ours; b=2" ], [ 'a=1', 'b=2' ] ],
    [ 'with blanks',     [ "a=1 ;  $ours ; b = 2" ],    [ 'a=1 ; b = 2' ] ],
    [ 'among strange ones',
        [ "$ours; =x; y; \"q\"=\"a;b\"; e=; \xe9=\xff" ],
        [ "=x; y; \"q\"=\"a;b\"; e=; \xe9=\xff" ] ],
    [ 'of a login',      [ "$login; a=1; $ours" ],      [ 'a=1' ] ],
    [ 'of the counter',  [ "$tries; a=1; $ours" ],      [ 'a=1' ] ],
    [ 'of the other provider', [ "$staff; a=1; $ours" ], [ 'a=1' ] ],
    [ 'beside names like it',
        [ "__host-intuit=1; $ours; __Host-intuit2=2; x__Host-intuit=3" ],
        [ "__host-intuit=1; __Host-intuit2=2; x__Host-intuit=3" ] ])
{
    my ($name, $lines, $left) = @$case;

    # node joins several lines, so nginx's own lines are looked at
    my $is = sent('/require/d', Cookie => $lines)->{cookie};
    is_deeply($is, $left, "... our cookie $name is cut out");

    $is = sent('/forwarded/d', Cookie => $lines)->{cookie};
    is_deeply($is, $left && [ join '; ', @$left ],
        "... and \$http_cookie says the same");
}

$got = sent('/forwarded/e', Cookie => "a=1; $ours",
    Authorization => 'Bearer client-made-this-up', 'X-User' => 'mallory');
ok(!exists $got->{'x-was'}, '... nothing is left in variables');
is($got->{cookie}[0], 'a=1', '... read before');


# -- requests that nginx makes itself -----------------------------------------

$got = sent('/checked/f', Cookie => "a=1; $ours", 'X-User' => 'mallory');
is($got->{cookie}[0], 'a=1', '... without our cookie behind auth_request');

my ($check) = $t->sim->journal(path => '/check');
is($check->{headers}{cookie}, 'a=1', 'auth_request\'s service does not see it');

$got = sent('/mirrored/g', Cookie => "a=1; $ours", 'X-User' => 'mallory',
    Authorization => 'Bearer client-made-this-up');

my ($copy) = $t->sim->wait_for(path => '/copy');
is($copy->{headers}{cookie}, 'a=1', 'nor does the one with a mirrored copy');
ok(!exists $copy->{headers}{$_}, "... nor $_") for qw(authorization x-user);

done_testing();
