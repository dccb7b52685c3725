package Test::Intuit;

# The tests' harness: starts the Intuit simulator and a real nginx with the
# nginx.conf that a test shows, talks to it, and asserts at the end of every
# test what holds for all of them.  t/lib/README.md is its manual.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter ();
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Temp ();
use POSIX qw(:sys_wait_h);
use Test::More ();
use Time::HiRes qw(time sleep);

use Test::Intuit::Checks;
use Test::Intuit::Connection;
use Test::Intuit::Jar;
use Test::Intuit::Port;
use Test::Intuit::Response;
use Test::Intuit::Sim;

use constant {
    # seconds; a bound, never the measure of success
    PATIENCE => $ENV{TEST_VALGRIND} ? 90 : 60,
    POLL     => 0.02,
    MODULE   => 'ngx_http_intuit_auth_module.so',
};

my $TOP = abs_path(dirname(__FILE__) . '/../../..');
use constant ASAN_NGINX => abs_path(dirname(__FILE__) . '/../../..')
    . '/build/asan-nginx/nginx';
my @LIVE;
my ($checked, $main_pid) = (0, $$);


# "use Test::Intuit" brings strict, warnings and Test::More, but with a
# done_testing that asserts what holds for every test.
sub import {
    my $caller = caller;
    no strict 'refs';

    for my $name (grep { $_ ne 'done_testing' && /^\w/ } @Test::More::EXPORT) {
        *{"${caller}::$name"} = \&{"Test::More::$name"};
    }

    *{"${caller}::TODO"} = \${"${caller}::TODO"};
    *{"${caller}::done_testing"} = \&done_testing;

    Test::More->builder->exported_to($caller);
    strict->import;
    warnings->import;
}

sub done_testing {
    $checked = 1;
    $_->finish for @LIVE;
    Test::More::done_testing();
}

END {
    if ($$ == $main_pid) {
        my $status = $?;
        my $unchecked = !$checked && grep { $_->{started} } @LIVE;

        eval { $_->abandon; 1 } or print STDERR "# $@" for @LIVE;

        if ($unchecked) {
            print STDERR "# the test ended without done_testing\n";
            $status ||= 1;
        }

        $? = $status;
    }
}


# sim => 0: without the simulator; sim => [ ... ]: more of its command line
sub new {
    my ($class, %o) = @_;

    local $SIG{__WARN__} = sub {};
    my $dir = File::Temp::tempdir('intuit-test-XXXXXX', TMPDIR => 1);

    # the workers may run as another user
    chmod 0755, $dir;
    make_path("$dir/logs", "$dir/html");

    my $self = bless { dir => $dir, ports => {}, locks => [], secrets => {},
        jars => [], allowed => [], owner => $$, workers => [], died => [],
        failures => [], label => $o{label} }, $class;

    push @LIVE, $self;

    if (!exists $o{sim} || $o{sim}) {
        # Intuit sends no nonce back, which is accepted from Intuit alone
        my @args = ('--nonce', 'echo', ref $o{sim} ? @{ $o{sim} } : ());

        $self->{sim} = Test::Intuit::Sim->start(top => $TOP, dir => $dir,
            args => \@args);
    }

    return $self;
}

sub dir { $_[0]{dir} }
sub sim { $_[0]{sim} }
sub pid { $_[0]{pid} }

# The port that %%PORT_8080%% stands for.
sub port {
    my ($self, $name) = @_;

    $name //= $self->{main_port} // 8080;

    if (!$self->{ports}{$name}) {
        my ($port, $lock) = Test::Intuit::Port::reserve();
        $self->{ports}{$name} = $port;
        push @{ $self->{locks} }, $lock;
    }

    return $self->{ports}{$name};
}

sub variant { $ENV{TEST_VARIANT} // 'debug' }

# The module that is tested: build/debug/, or TEST_VARIANT, or TEST_MODULE.
sub module {
    my $path = $ENV{TEST_MODULE} // "$TOP/build/" . variant() . '/' . MODULE;

    -e $path or die "$path is missing: run make build\n";
    return abs_path($path);
}


# -- files ------------------------------------------------------------------

sub write_file {
    my ($self, $name, $content, $mode) = @_;
    my $path = $name =~ m{^/} ? $name : "$self->{dir}/$name";

    make_path(dirname($path));
    open my $fh, '>:raw', $path or die "$path: $!";
    print $fh $content;
    close $fh or die "$path: $!";
    chmod $mode // 0644, $path;
    return $path;
}

# A file that only its owner reads, with a value that no log may show.
sub write_secret {
    my ($self, $name, $value) = @_;
    $self->secret($value);
    return $self->write_file($name, "$value\n", 0600);
}

sub read_file {
    my ($self, $name) = @_;
    open my $fh, '<:raw', "$self->{dir}/$name" or return '';
    local $/;
    return scalar <$fh> // '';
}

sub secret { $_[0]{secrets}{$_} = 1 for @_[1 .. $#_]; $_[0] }

# The lines of a log, as they are now.
sub log_lines {
    my ($self, $name) = @_;
    return split /(?<=\n)/, $self->read_file($name // 'logs/error.log');
}

# Waits for a line in a log.  False after PATIENCE seconds.
sub wait_log {
    my ($self, $pattern, $name) = @_;
    return $self->wait_until(sub {
        scalar grep { $_ =~ $pattern } $self->log_lines($name) });
}

sub wait_until {
    my ($self, $true, $patience) = @_;
    my $deadline = time + ($patience // PATIENCE);

    while (time < $deadline) {
        my $value = $true->();
        return $value if $value;
        sleep POLL;
    }

    return $true->();
}


# -- nginx ------------------------------------------------------------------

# Takes the whole nginx.conf.  Placeholders: %%MODULE%%, %%DIR%%, %%SIM%%,
# %%SIM_PORT%%, %%PORT_nnnn%%, %%TEMP_PATHS%%.
sub conf {
    my ($self, $text) = @_;

    $text =~ /\berror_log\s/ or die "nginx.conf without error_log\n";

    # an nginx that has the module already refuses to load it
    $text =~ s/^\s*load_module\s+%%MODULE%%;//mg if variant() eq 'static';

    ($self->{main_port}) = $text =~ /listen\s[^;]*%%PORT_(\w+)%%/
        if !defined $self->{main_port};

    $text = $self->expand($text);

    $self->{conf} = $text;
    $self->secret($1) while $text =~ /^\s*client_secret\s+"?([^";]+)"?;/mg;

    $self->write_file('nginx.conf', $text);
    return $self;
}

sub expand {
    my ($self, $text) = @_;

    my %value = (
        MODULE     => sub { module() },
        DIR        => sub { $self->{dir} },
        SIM        => sub { $self->{sim}->base },
        SIM_PORT   => sub { $self->{sim}->port },
        TEMP_PATHS => sub { join "\n    ", map { "${_}_temp_path temp/$_;" }
            qw(client_body proxy fastcgi uwsgi scgi) },
    );

    $text =~ s{%%(\w+)%%}{
        my $name = $1;
        $name =~ /^PORT_(\w+)$/ ? $self->port($1)
            : ($value{$name} // die "%%$name%%: unknown\n")->();
    }ge;

    return $text;
}

sub nginx {
    my ($path) = grep { -x } map { "$_/nginx" }
        split(/:/, $ENV{PATH}), qw(/usr/sbin /usr/local/sbin);

    $path = ASAN_NGINX if ($ENV{TEST_VARIANT} // '') eq 'asan' && -x ASAN_NGINX;

    return $ENV{TEST_NGINX} // $path // die "there is no nginx\n";
}

sub command {
    my ($self, $conf, @more) = @_;

    my $global = 'daemon ' . ($self->{daemon} ? 'on' : 'off')
        . "; pid $self->{dir}/nginx.pid;";

    # workers of another user could not write below the test's directory
    $global .= ' user root;' if $> == 0 && $self->{conf} !~ /^\s*user\s/m;

    make_path("$self->{dir}/temp");
    return ($self->valgrind, nginx(), '-p', "$self->{dir}/", '-c', $conf, '-e',
        'logs/start.log', '-g', $global, @more);
}

# TEST_VALGRIND: its reports go to logs/, one file for each process
sub valgrind {
    my ($self) = @_;

    return if !$ENV{TEST_VALGRIND};
    return ('valgrind', '-q', '--leak-check=full',
        '--errors-for-leak-kinds=definite', '--show-leak-kinds=definite',
        "--suppressions=$TOP/t/tools/valgrind.supp",
        "--log-file=$self->{dir}/logs/valgrind.%p");
}

# Under AddressSanitizer (TEST_VARIANT=asan): build/asan-nginx/nginx, when it
# could be built; the installed one, with the library preloaded, otherwise.
sub environment {
    my ($self, $leaks) = @_;

    return if variant() ne 'asan';

    my $asan = "log_path=$self->{dir}/logs/asan.log";

    if (nginx() eq ASAN_NGINX) {
        # both nginx and the module have ngx_module_names, and more
        $asan .= ':detect_odr_violation=0:detect_leaks=' . ($leaks ? 1 : 0);
        $ENV{LSAN_OPTIONS}
            = "suppressions=$TOP/t/tools/lsan.supp:print_suppressions=0";

    } else {
        chomp(my $libasan = `gcc -print-file-name=libasan.so`);
        $ENV{LD_PRELOAD} = $libasan;
        $asan .= ':detect_leaks=0';
    }

    $ENV{ASAN_OPTIONS} = $asan;
    $ENV{UBSAN_OPTIONS} = "print_stacktrace=1";
}

sub spawn {
    my ($self, $output, @command) = @_;
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $output;
        open STDERR, '>>', $output;
        # nginx -t ends without giving anything back
        $self->environment(!grep { $_ eq '-t' } @command);
        exec @command or POSIX::_exit(127);
    }

    return $pid;
}

# nginx -t: its exit status and what it said, about the conf that was given.
sub check_conf {
    my ($self, $text) = @_;

    $self->conf($text) if defined $text;

    unlink "$self->{dir}/logs/check.log";
    waitpid $self->spawn("$self->{dir}/logs/check.log",
        $self->command('nginx.conf', '-t')), 0;

    my $status = $? >> 8;
    my $said = $self->read_file('logs/check.log');

    # what is said here is the answer, not an accident
    unlink map { "$self->{dir}/logs/$_" } qw(check.log start.log);

    return ($status, $said);
}

# daemon => 1: as a daemon, which is what an upgrade needs
sub start {
    my ($self, %o) = @_;

    $self->{daemon} = $o{daemon} // $self->{daemon};
    $self->{pid} = $self->spawn("$self->{dir}/logs/stderr.log",
        $self->command('nginx.conf'));
    $self->{started} = 1;

    if ($self->{daemon}) {
        waitpid $self->{pid}, 0;
        ($self->{pid}) = $self->read_file('nginx.pid') =~ /^(\d+)$/;
    }

    my @ports = $self->{conf} =~ /^\s*listen\s+(?:[\d.]+:)?(\d+)\b(?!.*\budp\b)/mg;

    my $ready = $self->wait_until(sub {
        return -1 if $self->gone;
        my @workers = $self->children;
        return @workers == $self->expected_workers
            && !(grep { !listening($_) } @ports) && "ready: @workers";
    });

    if (!$ready || $ready eq '-1') {
        delete $self->{pid} if $ready;
        die "nginx did not start:\n", map { $self->read_file("logs/$_") }
            qw(stderr.log start.log);
    }

    $self->{workers} = [ $self->children ];
    return $self;
}

sub expected_workers {
    my ($self) = @_;
    return $self->{conf} =~ /^\s*worker_processes\s+(\d+)/m ? $1 : 1;
}

sub listening {
    my ($port) = @_;
    return defined IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port, Proto => 'tcp', Timeout => 1);
}

# Has the master ended?  Its wait status is kept.
sub gone {
    my ($self) = @_;

    return 1 if !$self->{pid};

    my $pid = waitpid $self->{pid}, WNOHANG;

    if ($pid == -1) {
        # a daemon is no child of ours
        return 0 if (stat_of($self->{pid}))[1] ne 'Z';
        $? = 0;

    } elsif ($pid != $self->{pid}) {
        return 0;
    }

    $self->{exit} = $?;
    delete $self->{pid};
    return 1;
}

# The workers of the running master, sorted; one that is about to end counts.
sub children {
    my ($self) = @_;
    my @pids;

    my $master = $self->{pid} // return;

    for my $path (glob '/proc/[0-9]*/stat') {
        open my $fh, '<', $path or next;
        my $stat = <$fh> // next;
        my ($pid, $state, $parent) = $stat =~ /^(\d+) \(.*\) (\w) (\d+) /s
            or next;

        next if $parent != $master || $state eq 'Z';

        open my $title, '<', "/proc/$pid/cmdline" or next;
        # under valgrind the title is valgrind's
        push @pids, $pid
            if (<$title> // '') =~ /^nginx: worker process/
                || $ENV{TEST_VALGRIND};
    }

    return sort { $a <=> $b } @pids;
}

sub workers { @{ $_[0]{workers} } }

# HUP, with a new nginx.conf where one is given.  True when the new workers
# are there and (but for linger => 1) the old ones have ended; false when
# nginx refused the configuration, which it then says in error.log.
sub reload {
    my ($self, $text, %o) = @_;

    $self->conf($text) if defined $text;

    my %old = map { $_ => 1 } $self->children;
    my $emerg = sub { scalar grep { /\[emerg\]/ }
        $self->log_lines, $self->log_lines('logs/start.log') };
    my $before = $emerg->();

    kill 'HUP', $self->{pid};

    my $done = $self->wait_until(sub {
        return -1 if $emerg->() > $before;

        my @now = $self->children;
        my @new = grep { !$old{$_} } @now;

        return @new == $self->expected_workers
            && ($o{linger} || @new == @now);
    });

    $self->fault("no new workers after a reload") if !$done;

    $self->{workers} = [ grep { !$old{$_} } $self->children ]
        if $done && $done ne '-1';

    return $done && $done ne '-1';
}

# Kills one worker as an accident would, and waits for the next one.
sub kill_worker {
    my ($self, $pid, $signal) = @_;

    $signal //= 'KILL';
    $pid //= $self->{workers}[0];

    $self->allow(qr/worker process $pid exited on signal/);
    kill $signal, $pid;

    $self->wait_until(sub {
        my @now = $self->children;
        return @now == $self->expected_workers && !grep { $_ == $pid } @now;
    }) or $self->fault("no new worker after $signal");

    $self->{workers} = [ $self->children ];
}

# USR2: a second master with workers of its own beside the first one, which
# stays until retire().  True when they are there.
sub upgrade {
    my ($self) = @_;
    my ($old, @workers) = ($self->{pid}, $self->workers);

    kill 'USR2', $old;

    my $done = $self->wait_until(sub {
        my ($pid) = $self->read_file('nginx.pid') =~ /^(\d+)$/;

        return 0 if !$pid || $pid == $old;
        local $self->{pid} = $pid;
        my @now = $self->children;
        return @now == $self->expected_workers && $pid;
    }) or return 0;

    $self->{retiring} = [ $old, @workers ];
    $self->{pid} = $done;
    $self->{workers} = [ $self->children ];
    return 1;
}

# QUIT for the first one; true when it has ended.
sub retire {
    my ($self, %o) = @_;
    my ($old) = @{ $self->{retiring} };

    kill 'QUIT', $old;
    return 1 if $o{linger};
    return $self->retired;
}

sub retired {
    my ($self) = @_;
    my ($old) = @{ $self->{retiring} };

    $self->wait_until(sub { (stat_of($old))[1] eq 'Z' }) or return 0;
    delete $self->{retiring};
    return 1;
}

# A worker has killed itself, at a point (src/ngx_intuit_point.h): waits for
# the next one.
sub replaced {
    my ($self) = @_;
    my %old = map { $_ => 1 } $self->workers;

    my $done = $self->wait_until(sub {
        my @now = $self->children;
        return @now == $self->expected_workers && grep { !$old{$_} } @now;
    });

    $self->{workers} = [ $self->children ] if $done;
    return $done;
}

# An [alert] or [emerg] that this test wants to see.
sub allow { push @{ $_[0]{allowed} }, $_[1]; $_[0] }

sub fault { push @{ $_[0]{failures} }, $_[1] }

# QUIT, and notes how it went.
sub stop {
    my ($self, %o) = @_;

    return if !$self->{pid} || $self->{owner} != $$;

    my @now = $self->children;
    my @then = @{ $self->{workers} };

    push @{ $self->{died} }, "workers were @then and are now @now"
        if "@now" ne "@then";

    my $signal = $o{signal} // 'QUIT';

    kill $signal, $self->{pid};

    if (!$self->wait_until(sub { $self->gone })) {
        $self->fault("nginx did not end after $signal");
        kill 'KILL', $self->children, $self->{pid};
        waitpid delete $self->{pid}, 0;
        return;
    }

    $self->fault("nginx exited with wait status $self->{exit}")
        if $self->{exit};
}

# The power fails: no process of nginx does anything any more.
sub crash {
    my ($self) = @_;
    my $master = $self->{pid};

    # a master that runs might replace a worker that has just died
    kill 'STOP', $master;
    $self->wait_until(sub { (stat_of($master))[1] =~ /[TZ]/ });

    # a worker that was just forked has no title yet
    my @workers = grep { (stat_of($_))[2] == $master }
        map { m{(\d+)} } glob '/proc/[0-9]*';

    kill 'KILL', $master, @workers;
    $self->fault('nginx outlived SIGKILL')
        if !$self->wait_until(sub { $self->gone });
}

# pid, state and parent of a process
sub stat_of {
    my ($pid) = @_;

    open my $fh, '<', "/proc/$pid/stat" or return ($pid, 'Z', 0);
    return (<$fh> // '') =~ /^(\d+) \(.*\) (\w) (\d+) /s ? ($1, $2, $3) : ($pid, 'Z', 0);
}


# -- HTTP -------------------------------------------------------------------

sub jar {
    my ($self) = @_;
    my $jar = Test::Intuit::Jar->new;
    push @{ $self->{jars} }, $jar;
    return $jar;
}

# A connection to nginx; requests over it with -connection.
sub connect {
    my ($self, %o) = @_;
    return Test::Intuit::Connection->new(port => $o{port} // $self->port,
        timeout => $o{timeout});
}

# Sends these bytes, returns the response (undef when none came).
sub http {
    my ($self, $bytes, %o) = @_;
    my $c = $o{connection} // $self->connect(%o);

    $c->send($bytes);
    return $c->response(head => scalar($bytes =~ /^HEAD /));
}

# request('GET', '/path', Name => 'value', ...).  A name with a minus in front
# is ours: -jar, -connection (kept open), -port, -body, -browser (headers of a
# navigation), -json (Accept), -timeout, -version.  A value that is undef
# leaves the header out, a list repeats it.
sub request {
    my ($self, $method, $path, @pairs) = @_;
    my (%o, @headers);

    while (my ($name, $value) = splice @pairs, 0, 2) {
        $name =~ s/^-(?=[a-z])// ? ($o{$name} = $value)
            : push @headers, [ $name, $value ];
    }

    my %given = map { lc $_->[0] => 1 } @headers;
    my $default = sub {
        push @headers, [ @_ ] if !$given{lc $_[0]}++ && defined $_[1];
    };

    my $port = $o{port} // $self->port;

    $default->(Host => "localhost:$port");
    $default->(Connection => $o{connection} ? 'keep-alive' : 'close');

    if ($o{browser}) {
        $default->(Accept => 'text/html,application/xhtml+xml,*/*;q=0.8');
        $default->('Sec-Fetch-Site' => 'none');
        $default->('Sec-Fetch-Mode' => 'navigate');
        $default->('Sec-Fetch-Dest' => 'document');
    }

    $default->(Accept => 'application/json') if $o{json};
    $default->('Content-Length' => length $o{body}) if defined $o{body};
    $default->(Cookie => $o{jar}->header_for($path)) if $o{jar};

    my $text = "$method $path HTTP/" . ($o{version} // '1.1') . "\r\n";

    for my $header (@headers) {
        my ($name, $value) = @$header;
        $text .= "$name: $_\r\n"
            for grep { defined } ref $value ? @$value : $value;
    }

    my $c = $o{connection}
        // $self->connect(port => $port, timeout => $o{timeout});

    $c->send($text . "\r\n" . ($o{body} // ''));

    my $r = $c->response(head => $method eq 'HEAD')
        // Test::Intuit::Response->new;

    if ($o{jar}) {
        $o{jar}->take($r);
        $o{jar}->saw(Test::Intuit::Sim::unescape($1))
            if ($r->header('Location') // '') =~ /[?&]state=([^&]+)/;
    }

    return $r;
}

sub get { my $self = shift; return $self->request('GET', @_) }

sub post {
    my ($self, $path, $body, @pairs) = @_;
    return $self->request('POST', $path, -body => $body // '', @pairs);
}

# A browser's way through the login, step by step: requests the page, lets
# the user consent (or deny => 1), requests the callback, and returns its
# response.  When the page does not redirect to a login its response is
# returned.  Other pairs: realm, user, headers => [ ... ] of all requests.
sub login {
    my ($self, $jar, $path, %o) = @_;
    my @headers = (@{ $o{headers} // [] }, -browser => 1, -jar => $jar);

    my $r = $self->get($path // '/', @headers);
    my $location = $r->header('Location') // return $r;

    return $r if $r->status != 302 || $location !~ m{/connect/oauth2\?};

    my $callback = $self->consent($jar, $location, %o);

    return $self->get($callback, @headers, 'Sec-Fetch-Site' => 'cross-site');
}

# What Intuit's pages do: from the authorization URL to the callback's path.
sub consent {
    my ($self, $jar, $url, %o) = @_;

    my %choice = map { $_ => $o{$_} } grep { defined $o{$_} }
        qw(realm user deny);
    my $location = $self->{sim}->authorize(url => $url, %choice);

    $jar->saw(Test::Intuit::Sim::unescape($1))
        while $location =~ /[?&](?:code|state)=([^&]+)/g;

    $location =~ s{^https?://[^/]*}{};
    return $location;
}

# A new browser that has signed in.
sub signed_in {
    my ($self, %o) = @_;
    my $jar = $self->jar;
    my $r = $self->login($jar, $o{path} // '/', %o);

    $r->status =~ /^30[23]$/
        or die "the login failed: ", $r->status, "\n", $r->body, "\n";

    return $jar;
}


# -- the end ----------------------------------------------------------------

sub secrets {
    my ($self) = @_;

    my %all = map { $_ => 1 } keys %{ $self->{secrets} },
        map { $_->values } @{ $self->{jars} };

    if ($self->{sim}) {
        $all{$_} = 1 for $self->{sim}->secrets;
    }

    return sort keys %all;
}

# All that every test asserts, by name, with what speaks against it.
sub problems {
    my ($self) = @_;
    my (@error, @shown);
    my @secrets = $self->secrets;

    for my $path (sort glob "$self->{dir}/logs/*") {
        my ($name) = $path =~ m{([^/]+)$};
        my @these = $self->log_lines("logs/$name");

        push @shown, Test::Intuit::Checks::secrets(\@these, @secrets);
        push @error, @these if $name !~ /^access/;
    }

    return (
        'nginx ended cleanly'     => $self->{failures},
        'no worker died'          => $self->{died},
        'no [alert], no [emerg]'  =>
            [ Test::Intuit::Checks::alerts(\@error, $self->{allowed}) ],
        'no report of a sanitizer' =>
            [ Test::Intuit::Checks::sanitizer(\@error) ],
        'no secret in the logs'   => \@shown,
    );
}

sub finish {
    my ($self) = @_;

    return if $self->{finished}++ || !$self->{started};

    $self->stop;

    my @problems = $self->problems;

    while (my ($name, $found) = splice @problems, 0, 2) {
        my $label = defined $self->{label} ? "$name ($self->{label})" : $name;
        local $Test::Builder::Level = $Test::Builder::Level + 2;

        if (!Test::More::ok(!@$found, $label)) {
            my @shown = @$found > 10 ? (@$found[0 .. 9], '...') : @$found;
            Test::More::diag(join "\n", @shown);
        }
    }

    $self->{sim}->stop if $self->{sim};
}

# Ends what still runs, whatever happened, and cleans up.
sub abandon {
    my ($self) = @_;

    return if $self->{owner} != $$ || $self->{abandoned}++;

    kill 'KILL', @{ $self->{retiring} } if $self->{retiring};

    if ($self->{pid} && !$self->gone) {
        my @workers = $self->children;
        kill 'TERM', $self->{pid};
        $self->wait_until(sub { $self->gone }, 5) or do {
            kill 'KILL', $self->{pid}, @workers;
            waitpid $self->{pid}, 0;
        };
    }

    $self->{sim}->stop if $self->{sim};

    if ($ENV{TEST_KEEP}) {
        print STDERR "# kept: $self->{dir}\n";
        return;
    }

    remove_tree($self->{dir});
}


1;
