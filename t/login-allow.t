#!/usr/bin/perl

# Who may sign in is said, not assumed: a stranger with an Intuit account of
# his own, whose login is perfectly valid, gets 403 - no session, nothing
# stored, and what others have is not touched.  Companies by allow_realm,
# people by allow_email: by an address that Intuit vouches for, compared as a
# whole.  Every rule that is given must hold.
#
# Rows: UI-01 LES-18 LES-19

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         9130347957983546 4620816365041297150;
        probe               off;
    }

    intuit_provider staff {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email;
        redirect_uri        http://localhost:%%PORT_8081%%/intuit/callback;
        allow_email         @example.com boss@company.com;
        probe               off;
    }

    intuit_provider both {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8082%%/intuit/callback;
        allow_realm         9130347957983546;
        allow_email         ada@example.com;
        probe               off;
    }

    root %%DIR%%/html;

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location /v3/company/ {
            intuit_proxy books;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_8081%%;
        auth_intuit staff;
    }

    server {
        listen 127.0.0.1:%%PORT_8082%%;
        auth_intuit both;
    }
}
CONF

$t->write_file('html/page.html', "in\n");

my $ours = '9130347957983546';
my $strange = '193514292156789';

# the outcome of a login: its status, and what the page names
sub attempt {
    my ($port, %o) = @_;
    my @on = (-port => $t->port($port), -browser => 1);
    my $jar = $t->jar;
    my $r = $t->get('/page.html', -jar => $jar, @on);

    $r = $t->get($t->consent($jar, $r->header('Location'), %o), -jar => $jar,
        @on);

    my $in = $t->get('/page.html', -jar => $jar, -json => 1,
        -port => $t->port($port))->status == 200;
    my ($error) = $r->body =~ /<dd>(\w+)</;

    return join ' ', $r->status, $error // (), $in ? 'in' : 'out',
        $jar->get('__Host-intuit') ? () : 'no session';
}

sub userinfo {
    my (%action) = @_;

    $t->sim->reset('scripts');
    $t->sim->script({ kind => 'userinfo', times => 1,
        action => { %action } });
}

# -- companies

is(attempt('8080', realm => $ours), '302 in', 'a company of the list');
is(attempt('8080', realm => '4620816365041297150'), '302 in', 'another one');
is(attempt('8080', realm => $strange),
    '403 realm_not_allowed out no session', "a stranger's company");
ok(scalar(grep { /realm "$strange" is not in allow_realm/ } $t->log_lines),
    'the log has its id, for whoever wants to allow it');

$t->sim->script({ kind => 'token',
    action => { id_token => { omit => [ 'realmid' ] } } });
is(attempt('8080', realm => $strange),
    '403 realm_not_allowed out no session', 'nor by proof of the API');

# nothing was stored: the company cannot be used by anybody
my $jar = $t->signed_in(realm => $ours, path => '/page.html');
my $calls = $t->sim->count(kind => 'api', realm => $strange);

is($t->get("/v3/company/$strange/companyinfo/$strange", -jar => $jar,
    -json => 1)->status, 403, 'nobody can reach it');
is($t->sim->count(kind => 'api', realm => $strange), $calls,
    'and Intuit is not asked');

# -- people

my $denied = '403 email_not_allowed out no session';

is(attempt('8081', user => 'ada@example.com'), '302 in', 'of our domain');
is(attempt('8081', user => 'carol@example.com'), $denied,
    'of our domain, but not verified');
is(attempt('8081', user => 'mallory@evil.example'), $denied,
    'of another domain');


# [ what userinfo says, the outcome ]
my @said = (
    [ 'boss@company.com', '302 in' ],
    [ 'BOSS@Company.COM', '302 in' ],
    [ 'other@company.com', $denied ],
    [ 'attacker@evil.com@company.com', $denied ],
    [ 'attacker@evil.com@example.com', $denied ],
    [ '"ada@example.com"@evil.com', $denied ],
    [ 'ada@example.com.evil.com', $denied ],
    [ 'ada@example.com,ada@evil.com', $denied ],
    [ 'ada@sub.example.com', $denied ],
    [ 'ada@notexample.com', $denied ],
    [ 'ada@evil.com <ada@example.com>', $denied ],
    [ "ada\@evil.com\n\@example.com", $denied ],
    [ "ada\@example.com\0", $denied ],
    [ "ada\@example.com ", $denied ],
    [ "ada\@ex\x{e4}mple.com", $denied ],
    [ '@example.com', $denied ],
    [ 'example.com', $denied ],
    [ '', $denied ],
    [ [ 'ada@example.com' ], $denied ],
    [ undef, $denied ],
);

for (@said) {
    my ($email, $outcome) = @$_;

    userinfo(merge => { email => $email });

    my $name = $email // 'null';
    $name =~ s/[^\x20-\x7e]/?/g;
    is(attempt('8081'), $outcome, "userinfo says \"$name\"");
}

for my $verified (JSON::PP::false(), 'false', 'TRUE', 'yes', '', 0, undef, [])
{
    userinfo(merge => { emailVerified => $verified });
    is(attempt('8081'), $denied, 'verified is '
        . JSON::PP->new->allow_nonref->encode($verified));
}

for my $verified (JSON::PP::true(), 'true') {
    userinfo(merge => { emailVerified => $verified });
    is(attempt('8081'), '302 in', 'verified is '
        . JSON::PP->new->allow_nonref->encode($verified));
}

userinfo(omit => [ 'emailVerified' ]);
is(attempt('8081'), $denied, 'verified is not said');

# -- userinfo that cannot be believed, or had

userinfo(merge => { sub => 'somebody-else' });
is(attempt('8081'), $denied, "userinfo is somebody else's");

userinfo(omit => [ 'sub' ]);
is(attempt('8081'), $denied, "userinfo is nobody's");

userinfo(status => 200, body => '<html>');
is(attempt('8081'), $denied, 'userinfo is no JSON');

userinfo(status => 401);
is(attempt('8081'), $denied, 'userinfo is refused');

for my $action ({ status => 500 }, { status => 503 }, { status => 429 },
    { rst => JSON::PP::true() })
{
    userinfo(%$action);
    is(attempt('8081'), '503 temporarily_unavailable out no session',
        'userinfo cannot be had now');
}

# without a rule about people it is an extra
for my $action ({ status => 500 }, { status => 401 },
    { merge => { sub => 'somebody-else' } })
{
    userinfo(%$action);
    is(attempt('8080', realm => $ours), '302 in',
        'where companies are asked for, a login goes on without userinfo');
}

$t->sim->reset('scripts');

# -- both

is(attempt('8082', realm => $ours, user => 'ada@example.com'), '302 in',
    'the right person of the right company');
is(attempt('8082', realm => $ours, user => 'bob@example.com'), $denied,
    'another person of the right company');
is(attempt('8082', realm => $strange, user => 'ada@example.com'),
    '403 realm_not_allowed out no session',
    'the right person of another company');

done_testing();
