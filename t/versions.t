#!/usr/bin/perl

# The promise: an upgrade of the module takes connections over, and a step back is
# no accident: what the earlier one cannot read it says, file by file, and leaves as
# it is, until the company is connected anew.
# The attack: the module from before the last change of the records, built out of
# this project's own history.  A package's upgrade replaces the file under a running
# nginx; then USR2, there and back, and there again.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

use Cwd qw(abs_path);
use File::Copy qw(copy);
use File::Temp qw(tempdir);

my $TOP = abs_path("$FindBin::Bin/..");
my $REALM = '9130347957983546';
my $API = "/v3/company/-/companyinfo/$REALM";

# TEST_EARLIER: one that has been built before
my $earlier = $ENV{TEST_EARLIER} // built();

my $t = Test::Intuit->new();
my $SO = $t->dir . '/module.so';
my $STATE = $t->dir . '/state';

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);
$t->write_file('html/index.html', "in\n");

$t->conf(<<"CONF");
load_module $SO;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;
env LD_PRELOAD;
env ASAN_OPTIONS;
env LSAN_OPTIONS;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_provider books {
        environment          sandbox;
        config_url           %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url              %%SIM%%;
        client_id            sim-client-id;
        client_secret_file   %%DIR%%/secret;
        scope                openid email com.intuit.quickbooks.accounting;
        redirect_uri         http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm          any;
        probe                off;
        state_path           %%DIR%%/state;
        encryption_key_file  %%DIR%%/key;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=$REALM;
        }
    }
}
CONF

# -- the earlier one ------------------------------------------------------------

replace($earlier);
$t->start(daemon => 1);

my $jar = $t->signed_in(path => '/index.html', realm => $REALM);

is(api()->status, 200, 'the earlier one serves a company');

my ($token, %written) = (used(), files());

is(scalar(keys %written), 1, '... and has a file of it');

# -- a package's upgrade, in three steps ------------------------------------------

replace($t->module);

ok($t->reload, 'another file in its place: a reload works');
is($t->get('/index.html', -jar => $jar)->body, "in\n", '... and sessions stay');

ok($t->upgrade && $t->retire, 'USR2: now it is this one');
is(api()->status, 200, '... which serves the company');
is(used(), $token, '... with the token that the earlier one had');
is($t->sim->count(kind => 'token'), 1, '... and has asked Intuit for none');
is_deeply({ files() }, \%written, '... and its file is as it was');
is(scalar(unused()), 0, '... and nothing is complained about');

# -- what it writes, read by the earlier one ----------------------------------------

$jar = $t->signed_in(path => '/index.html', realm => $REALM);
is($t->post('/intuit/session', 'action=refresh', -jar => $jar)->status, 200,
    'this one refreshes the token');

$t->wait_until(sub { my %now = files(); keys %now == 1 && !$written{(keys %now)[0]} });
%written = files();
is(scalar(keys %written), 1, '... and has it in its file');

replace($earlier);
ok($t->upgrade && $t->retire, 'USR2: back to the earlier one');

my ($name) = keys %written;
my @said = unused();

is(scalar(@said), 1, '... which says of the file');
like($said[0], qr{\[error\].*state file "\S+/\Q$name\E" is not used, and left as it is: it was written by another version$},
    '... that it is of another version');
is(api()->status, 403, '... does not serve the company');
is_deeply({ files() }, \%written, '... and leaves the file as it is');

$t->signed_in(path => '/index.html', realm => $REALM);
# the company's new file takes the other's place, which the earlier one finds there
# when it is about to write
$t->allow(qr/intuit state_path "\S+" cannot be used \(take over\)/);

is(api()->status, 200, 'connected anew it serves the company');
$token = used();

# -- and again -------------------------------------------------------------------

replace($t->module);
ok($t->upgrade && $t->retire, 'USR2: this one again');
is(api()->status, 200, '... serves the company');
is(used(), $token, '... with the tokens of the last login');
is(scalar(unused()), 1, '... and nothing more is complained about');

done_testing();


sub api  { $t->get($API, -json => 1) }

sub used {
    my ($call) = reverse grep { $_->{path} =~ /companyinfo/ } $t->sim->journal(kind => 'api');
    return $call->{headers}{authorization};
}

# (a new master says it on its standard error as well)
sub unused {
    return grep { /^\d.*intuit state file .* is not used/ } map { s/\n$//r } $t->log_lines;
}

# As dpkg does it: another file under the same name.
sub replace {
    my ($module) = @_;

    copy($module, "$SO.new") or die "$module: $!";
    rename "$SO.new", $SO or die "$SO: $!";
}

sub files {
    return map { m{([^/]+)$} => $t->read_file("state/$1") } glob "$STATE/*.state";
}

# The module of the commit before the last that changed the records' version.
sub built {
    plan(skip_all => 'make test-all builds the earlier one') if !$ENV{TEST_ALL};

    my $changed = `git -C '$TOP' log -1 --format=%H -G'define NGX_INTUIT_RECORD_VERSION' -- src/ngx_intuit_record.c 2> /dev/null`;
    chomp $changed;
    plan(skip_all => 'there is no git history') if $changed !~ /^[0-9a-f]{40}$/
        || system("git -C '$TOP' rev-parse -q --verify '$changed^' > /dev/null 2>&1");

    my $dir = tempdir('intuit-test-earlier-XXXXXX', TMPDIR => 1, CLEANUP => 1);

    system("git -C '$TOP' archive '$changed^' | tar -x -C '$dir'"
        . " && '$dir/t/tools/build-module.sh' debug > '$dir/log' 2>&1") == 0
        or die "the earlier one cannot be built: " . `tail -n 20 '$dir/log'`;

    return "$dir/build/debug/ngx_http_intuit_auth_module.so";
}
