#!/usr/bin/perl

# The variables say who is signed in, to headers, to access_log, and to
# subrequests; they are empty for everybody else, and one provider's session
# says nothing where another's is asked for.  A claim never carries a control
# byte into a header.

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
    log_format who '$uri [$intuit_authenticated] [$intuit_claim_email] '
                   '[$intuit_realm_id] [$intuit_session_id] [$intuit_error] '
                   '[$intuit_tid]';
    access_log %%DIR%%/logs/access.log who;

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
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
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
        auth_intuit_mode verify;
        root %%DIR%%/html;

        proxy_set_header X-Authenticated  $intuit_authenticated;
        proxy_set_header X-Email          $intuit_claim_email;
        proxy_set_header X-Verified       $intuit_claim_email_verified;
        proxy_set_header X-Verified2      $intuit_claim_EMAILVERIFIED;
        proxy_set_header X-Nested         $intuit_claim_address;
        proxy_set_header X-Odd            $intuit_claim_odd;
        proxy_set_header X-Number         $intuit_claim_number;
        proxy_set_header X-None           $intuit_claim_none;
        proxy_set_header X-Empty          $intuit_claim_;
        proxy_set_header X-Info           $intuit_userinfo;
        proxy_set_header X-Realm          $intuit_realm_id;
        proxy_set_header X-Access         $intuit_access_token;
        proxy_set_header X-Id             $intuit_id_token;
        proxy_set_header X-Expires        $intuit_token_expires;
        proxy_set_header X-Refresh        $intuit_refresh_token_expires;
        proxy_set_header X-Session        $intuit_session_id;
        proxy_set_header X-Login          $intuit_login_uri;
        proxy_set_header X-Error          $intuit_error;
        proxy_set_header X-Version        $intuit_version;

        # asked too early: before anybody has looked
        location /app/ {
            set $early "$intuit_authenticated$intuit_claim_email";
            proxy_set_header X-Early $early;
            proxy_pass %%SIM%%;
        }
        location /app/late/ { proxy_pass %%SIM%%; }
        location /app/off/ { auth_intuit off; proxy_pass %%SIM%%; }
        location /app/staff/ { auth_intuit staff; proxy_pass %%SIM%%; }

        location /early/ {
            if ($intuit_claim_email) { return 500; }
            if ($intuit_authenticated) { set $unused 1; }
            proxy_pass %%SIM%%;
        }

        location = /sub {
            auth_request /app/late/check;
            proxy_pass %%SIM%%/app/late/sub;
        }

        location /required/ {
            auth_intuit_mode require;
            proxy_pass %%SIM%%;
        }

        # from one provider's location to the other's
        location ^~ /v3/ {
            auth_intuit off;
            intuit_proxy books;
            proxy_intercept_errors on;
            error_page 404 = /app/staff/x;
        }
    }
}
CONF

my $realm = '9130347957983546';

$t->sim->script(
    { kind => 'userinfo', times => 1, action => { merge => {
        odd => "a\r\nX-Injected: 1", number => 12345678901,
        address => { country => 'US' } } } },
    { kind => 'other', times => -1, action => { status => 200,
        body => 'app' } });

my $jar = $t->signed_in(realm => $realm, path => '/required/x');
my $bob = $t->signed_in(realm => $realm, path => '/required/x',
    user => 'bob@example.com');

# What the application got.
sub sent {
    my ($path, @more) = @_;

    $t->sim->reset('journal');
    my $r = $t->get($path, @more);
    my ($entry) = $t->sim->journal(kind => 'other');

    is($r->status, 200, "$path is served");
    return $entry->{headers} // {};
}

for my $path ('/app/late/x', '/early/x') {
    my $got = sent($path, -jar => $jar);
    my ($pair) = $t->sim->tokens;

    is($got->{'x-authenticated'}, 1, '... authenticated');
    is($got->{'x-email'}, 'ada@example.com', '... the e-mail');
    is($got->{'x-verified'}, 'true', '... without underscores');
    is($got->{'x-verified2'}, 'true', '... without case');
    is($got->{'x-number'}, '12345678901', '... a number');
    is($got->{'x-realm'}, $realm, '... the company');
    is($got->{'x-access'}, $pair->{access_token}, '... the access token');
    like($got->{'x-id'}, qr/^ey[\w-]+\.ey[\w-]+\.[\w-]+$/, '... the id_token');
    like($got->{'x-session'}, qr/^[0-9a-f]{16}$/, '... the session\'s hash');
    like($got->{'x-info'}, qr/"email":\s*"ada\@example.com"/, '... userinfo');
    unlike($got->{'x-info'}, qr/[\x00-\x1f]/, '... in one line');
    cmp_ok($got->{'x-expires'}, '<=', time + 3600, '... expiry');
    cmp_ok($got->{'x-refresh'}, '>', $got->{'x-expires'}, '... and the limit');
    is($got->{'x-login'}, '/intuit/login', '... the login\'s address');
    like($got->{'x-version'}, qr/^\d+\.\d+\.\d+$/, '... the version');
    ok(!exists $got->{$_}, "... no $_")
        for qw(x-odd x-injected x-none x-empty x-error);
}

is(sent('/app/late/y', -browser => 1)->{'x-login'},
    '/intuit/login?return_to=%2Fapp%2Flate%2Fy', '... with the way back');

is(sent('/app/x', -jar => $jar)->{'x-early'}, 0,
    'in the rewrite phase nobody has been looked up');

for my $case ([ 'anonymous', '/app/late/x' ],
    [ 'a guess', '/app/late/x', Cookie => '__Host-intuit=' . 'A' x 43 ],
    [ 'no login asked', '/app/off/x', -jar => $jar ],
    [ 'another provider asked', '/app/staff/x', -jar => $jar ])
{
    my ($name, @request) = @$case;
    my $got = sent(@request);

    is($got->{'x-authenticated'}, 0, "$name: not authenticated");
    is_deeply([ grep { exists $got->{$_} } qw(x-email x-info x-realm x-access
        x-id x-expires x-refresh x-session) ], [], '... and nothing known');
}

my %hash = map { $_ => 1 } map { sent('/app/late/x', -jar => $_)->{'x-session'} }
    $jar, $bob, $jar;
is(keys %hash, 2, 'a hash for each session');
is(sent('/app/late/x', -jar => $bob)->{'x-email'}, 'bob@example.com',
    'each user has his own');

my $got = sent('/sub', -jar => $jar);
my ($check, $main) = $t->sim->journal(kind => 'other');
is($check->{headers}{'x-authenticated'}, 0,
    'a subrequest of auth_request comes before the gate');
is($main->{headers}{'x-email'}, 'ada@example.com',
    '... and what it has read is not kept');


# -- from one provider to the other -------------------------------------------

$t->sim->script({ kind => 'api', times => 2, action => { status => 404 } });

$got = sent('/v3/company/-/query', -jar => $jar);
is($got->{'x-authenticated'}, 0, 'a session of books is none of staff');
ok(!exists $got->{$_}, "... no $_") for qw(x-email x-access x-realm);

my $both = $jar->clone;
my $r = $t->get('/staff/login', -browser => 1, -jar => $both);
$t->get($t->consent($both, $r->header('Location'), user => 'bob@example.com'),
    -browser => 1, -jar => $both, 'Sec-Fetch-Site' => 'cross-site');

$got = sent('/v3/company/-/query', -jar => $both);
is($got->{'x-email'}, 'bob@example.com',
    'who is signed in at both is known after the first has cleaned up');

ok(!exists $got->{cookie}, '... and neither cookie is sent');


# -- the log --------------------------------------------------------------------

$t->sim->reset('journal');
$t->get('/required/log', -json => 1);
$t->get('/required/log', -jar => $jar);

$t->wait_log(qr{/required/log \[1\]}, 'logs/access.log');

my @lines = grep { m{^/required/log } } $t->log_lines('logs/access.log');
is($lines[0], "/required/log [0] [] [] [] [login_required] []\n" =~ s/\[\]/[-]/gr,
    'access_log has the error');
like($lines[1], qr{^/required/log \[1\] \[ada\@example\.com\] \[$realm\] \[[0-9a-f]{16}\]},
    '... and the user');

done_testing();
