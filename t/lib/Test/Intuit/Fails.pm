package Test::Intuit::Fails;

# What the tests have in common in which everything fails once: the n-th
# allocation (no-memory.t), the n-th call (no-call.t).  Who counts is in nginx's
# processes and shares a file with the test, which has n in its first word.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use Test::More ();
use Test::Intuit::Refresh qw(forward);

our @EXPORT = qw(between fails_in fails_at left kinds changes
    each_fails);

my $SOURCE = dirname(dirname(dirname(abs_path(__FILE__)))) . '/no_call.c';
my $REALM = '9130347957983546';
my @FORM = (-json => 1, 'Content-Type' => 'application/x-www-form-urlencoded');
my ($t, $file);


# Where the module is with t/lib/no_call.c between it and what it calls: linked from
# the objects of the build.
sub between {
    my ($harness) = @_;
    my $path = $harness->dir . '/module.so';
    my $objs = dirname(Test::Intuit::module()) . '/nginx/objs';
    my ($rule) = slurp("$objs/Makefile")
        =~ m{^objs/ngx_http_intuit_auth_module\.so:(.*?)^$}ms;
    my @objects = map { "$objs/../$_" } $rule =~ m{(objs/\S+\.o)\b}g;
    my @wrapped = map { "-Wl,--wrap=$_" } slurp($SOURCE) =~ /^WRAP\((\w+)/mg;
    my $variant = $ENV{TEST_VARIANT} // '';

    system('gcc', '-shared', '-fPIC', '-O1', '-o', $path,
        $variant eq 'coverage' ? '--coverage' : (), $SOURCE, @objects, @wrapped,
        '-ljansson', '-lcrypto') == 0 or die "gcc: $?";
    return $path;
}

sub slurp {
    open my $fh, '<', $_[0] or die "$_[0]: $!";
    local $/;
    return scalar <$fh>;
}

sub fails_in {
    ($t, my $name) = @_;
    return $file = $t->write_file($name, pack 'l x60', 0);
}

sub fails_at {
    my ($n) = @_;
    open my $fh, '+<:raw', $file or die "$file: $!";
    syswrite $fh, pack 'l x60', $n;
}

# (how many are left, what has failed, where that is told)
sub left {
    open my $fh, '<:raw', $file or die "$file: $!";
    local $/;
    return unpack 'l Z*', scalar <$fh>;
}

# name, the request, what its answer has when nothing fails
sub kinds {
    my ($jar) = @_;
    my $api = "/v3/company/-/companyinfo/$REALM";
    my $get = sub { my @request = @_; sub { $_[0]->(); $t->get(@request) } };

    return (
        [ 'a page', $get->('/index.html', -jar => $jar), qr/^in$/m ],
        [ 'the start of a login', $get->('/index.html', -browser => 1),
            qr{/connect/oauth2\?} ],
        [ 'a stranger', $get->('/index.html', -json => 1), qr/login_required/ ],
        [ 'the session document', $get->('/intuit/session', -jar => $jar),
            qr/"authenticated":true/ ],
        [ 'the status', $get->('/status'), qr/"connections"/ ],
        [ 'a call of the API', $get->($api, -jar => $jar, -json => 1),
            qr/Harbour Lane/ ],
        [ 'an unattended one', $get->("/unattended$api", -json => 1),
            qr/Harbour Lane/ ],
        [ 'a login', \&login, qr/^in$/m ],
        [ 'a refresh', sub { forward(61); $_[0]->();
            $t->get("/unattended$api", -json => 1) }, qr/Harbour Lane/ ],
        [ 'a 401', sub { forward(2); $t->sim->control('POST', '/expire-access',
            { realm => $REALM }); $_[0]->();
            $t->get("/unattended$api", -json => 1) }, qr/Harbour Lane/ ],
    );
}

# a login that comes to its end: the callback's answer
sub login {
    my ($fail) = @_;
    my $new = $t->jar;
    my $r = $t->get('/index.html', -jar => $new, -browser => 1);
    my $callback = $t->consent($new, $r->header('Location'),
        realm => $REALM);

    $fail->();
    $r = $t->get($callback, -jar => $new, -browser => 1);

    return $r if $r->status != 302;
    return $t->get('/index.html', -jar => $new);
}

# The same for what makes, ends and forgets: /connect, /disconnect, logout.
sub changes {
    return (
        [ 'an import', \&import_token, qr/"connected":true/ ],
        [ 'a disconnection', \&disconnect, qr/"disconnected":true/ ],
        [ 'a logout', \&logout, qr/^Location: /m ],
    );
}

sub import_token {
    my ($fail) = @_;
    my $token = $t->sim->issue(realm => $REALM,
        scope => 'com.intuit.quickbooks.accounting')->{refresh_token};

    $fail->();
    return $t->post('/connect', "realm=$REALM&refresh_token=$token", @FORM);
}

sub disconnect {
    my ($fail) = @_;

    # revocations that wait are tried again
    forward(2);
    import_token(sub {});
    $fail->();
    return $t->post('/disconnect', "realm=$REALM", @FORM);
}

sub logout {
    my ($fail) = @_;
    forward(1);
    my $in = $t->signed_in(path => '/index.html', realm => $REALM);

    $fail->();
    return $t->post('/intuit/logout', '', -jar => $in, -browser => 1,
        'Sec-Fetch-Site' => 'same-origin');
}

# All of them in "make test-all", or every $step-th beyond the first ones.
# TEST_KINDS: only what has such a name.
sub each_fails {
    my ($what, $step, @kinds) = @_;

    my $wanted = $ENV{TEST_KINDS} // '';

    for (grep { $_->[0] =~ /(?:$wanted)/ } @kinds) {
        my ($name, $request, $good) = @$_;
        my ($n, $tried, %odd) = (0, 0);

        # a first one has allocated what stays
        $request->(sub {});
        my @workers = $t->children;

        while (!%odd) {
            $n += $n > 20 && !$ENV{TEST_ALL} ? $step : 1;

            # nginx's clock stands, however long this takes, and so does Intuit's
            forward(0);

            my $r = $request->(sub { fails_at($n) });
            my ($left, $failed) = left();

            fails_at(0);

            last if $left != 0;
            $tried++;
            $failed = $failed ? "$n ($failed)" : $n;

            $odd{"answer to $failed: " . substr $r->raw // '', 0, 300} = 1
                if $r->status == 200 && ($r->raw // '') !~ $good;
            $odd{"a worker died at $failed"} = 1
                if "@{[ $t->children ]}" ne "@workers";

            # the pause after a failure; a lease in Redis ends by the true clock
            my $again;
            $t->wait_until(sub { forward(2) if $again;
                $again = $request->(sub {}); ($again->raw // '') =~ $good }, 90)
                or $odd{"after $failed: " . substr $again->raw // '', 0, 300} = 1;
        }

        # what it remembers of thousands of requests takes long to read
        $t->sim->control('POST', '/reset', { only => [ 'journal' ] });

        Test::More::cmp_ok($tried, '>', 0, "$name: $tried $what failed, one by one");
        Test::More::is(join("\n", sort keys %odd), '', "$name: nobody noticed afterwards");
    }
}


1;
