package Bench::Site;

# What all tables stand on: the simulated Intuit, the upstream with its count,
# and contenders that are started, signed in, and asked whether they do what
# they are here for.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Temp ();
use JSON::PP ();
use Time::HiRes qw(time sleep);

use Test::Intuit::Sim;

use Bench::Apache;
use Bench::Contenders;
use Bench::Figures;
use Bench::Nginx;

use constant REALM => '9130347957983546';

# what Chromium adds to a request of a page's script
my @BROWSER = (
    [ 'Connection' => 'keep-alive' ],
    [ 'Cache-Control' => 'max-age=0' ],
    [ 'sec-ch-ua' => '"Chromium";v="130", "Not?A_Brand";v="99"' ],
    [ 'sec-ch-ua-mobile' => '?0' ],
    [ 'sec-ch-ua-platform' => '"Linux"' ],
    [ 'User-Agent' => 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36'
        . ' (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36' ],
    [ 'Sec-Fetch-Site' => 'same-origin' ],
    [ 'Sec-Fetch-Mode' => 'cors' ],
    [ 'Sec-Fetch-Dest' => 'empty' ],
    [ 'Referer' => 'http://localhost/' ],
    [ 'Accept-Encoding' => 'gzip, deflate, br, zstd' ],
    [ 'Accept-Language' => 'en-US,en;q=0.9' ],
);

my $TOP = abs_path(dirname(__FILE__) . '/../../../..');


# pinned => 1: what is compared gets a core, everything else the other one
sub new {
    my ($class, %o) = @_;

    my $dir = File::Temp::tempdir('intuit-bench-XXXXXX', TMPDIR => 1);
    chmod 0755, $dir;
    make_path("$dir/sim");

    my $self = bless { dir => $dir, owner => $$, pinned => 0, workers => 1,
        %o }, $class;

    # Intuit's access tokens are about this long: 1 KB
    $self->{sim} = Test::Intuit::Sim->start(top => $TOP, dir => "$dir/sim",
        args => [ '--nonce', 'echo', '--access-bytes', 696 ]);

    $self->{upstream} = Bench::Nginx->new(dir => "$dir/upstream",
        sim => $self->{sim}, prefix => [ $self->others ]);

    $self->{status_port} = $self->{upstream}->port('status');
    $self->{upstream}->conf(Bench::Contenders::upstream_conf())->start;

    return $self;
}

sub top { $TOP }
sub sim { $_[0]{sim} }
sub dir { $_[0]{dir} }

# in front of what is compared, and of everything else
sub compared { $_[0]{pinned} ? ('taskset', '-c', 0) : () }
sub others   { $_[0]{pinned} ? ('taskset', '-c', 1) : () }

# A contender, started and signed in.  prefix: commands in front of it;
# single: one process; others: what Bench::Contenders::conf takes.
sub start {
    my ($self, $c, %o) = @_;

    my $n = ($c->{class} // 'Bench::Nginx')->new(
        dir => "$self->{dir}/$c->{name}" . ($o{label} // ''),
        sim => $self->{sim}, prefix => $o{prefix} // [ $self->compared ]);

    $n->{contender} = $c;
    $n->{upstream_port} = $self->{upstream}->port("of-$n->{dir}");
    $n->{token} = join '', map { ('a' .. 'z', 0 .. 9)[rand 36] } 1 .. 1024;

    push @{ $self->{running} }, $n;
    $self->tokens;

    $n->write_secret('secret', $self->{sim}{client_secret});
    $n->write_file('html/tool/index.html', "the tool\n");
    $n->write_file('html/index.html', "the tool\n");
    $n->conf($self->fill($n, ($c->{conf} // \&Bench::Contenders::conf)->(
        $c, workers => $self->{workers}, %o)));
    $n->start;

    $self->login($n) if $c->{login};
    $self->tokens;

    return $n;
}

sub fill {
    my ($self, $n, $conf) = @_;

    $conf =~ s/%%UPSTREAM%%/$n->{upstream_port}/g;
    $conf =~ s/%%TOKEN%%/$n->{token}/g;
    return $conf;
}

sub stop {
    my ($self, @these) = @_;

    for my $n (@these) {
        $n->stop;
        @{ $self->{running} } = grep { $_ != $n } @{ $self->{running} };
    }
}

# One browser signs in: its cookie, and the token that the upstream has to see.
sub login {
    my ($self, $n, %o) = @_;
    my $c = $n->{contender};
    my $jar = $n->jar;

    my $r = $n->login($jar, $c->{cookie} ? $c->{path} : '/tool/',
        realm => REALM, %o);

    $r->status =~ /^30[23]$/
        or die "$c->{name}: the login failed: ", $r->status, "\n", $r->body,
            $n->said;

    # a browser has dropped the count of its login's starts a minute later
    $jar->remove($_) for grep { /-tries$/ } $jar->names;

    $n->{jar} = $jar;
    $n->{token} = ($self->{sim}->tokens)[-1]{access_token};

    return $jar;
}

# tells the upstream which token each contender has to bring
sub tokens {
    my ($self) = @_;
    my %tokens = map { $_->{upstream_port} => $_->{any_token}
        ? '!~ "^Bearer .{900}"' : qq(!= "Bearer $_->{token}") }
        @{ $self->{running} };

    $self->{upstream}->reload(Bench::Contenders::upstream_conf(%tokens))
        or die "the upstream does not reload:\n", $self->{upstream}->said;
}

# How many requests the upstream has had.  Asking is one more.
sub served {
    my ($self) = @_;

    my $r = $self->{upstream}->get('/', -port => $self->{status_port});
    return Bench::Figures::stub_status($r->body) - ++$self->{asked};
}


# The same, when nothing is on its way any more: wrk leaves without waiting.
sub settled {
    my ($self) = @_;
    my ($last, $now) = (-1, $self->served);

    for (1 .. 100) {
        last if $now == $last;
        sleep 0.05;
        ($last, $now) = ($now, $self->served);
    }

    return $now;
}


# -- requests -----------------------------------------------------------------

# the headers that every request of a contender has: [ name, value ]
sub headers {
    my ($self, $n, %o) = @_;
    my $c = $n->{contender};
    my @headers = [ Host => 'localhost:' . $n->port('main') ];

    push @headers, $o{navigation} // $c->{navigation}
        ? [ Accept => 'text/html' ] : [ Accept => 'application/json' ];

    push @headers, @BROWSER if $c->{browser};

    if ($c->{cookie} && !$o{anonymous}) {
        # a cookie of the same length for those who do not care
        push @headers, [ Cookie => $n->{jar} ? $n->{jar}->header_for($c->{path})
            : '__Host-intuit=' . 'x' x 43 ];
    }

    return @headers;
}

# the bytes of one request, in a file
sub request_file {
    my ($self, $n) = @_;
    my $c = $n->{contender};

    return $n->write_file('request', join '', "GET $c->{path} HTTP/1.1\r\n",
        (map { "$_->[0]: $_->[1]\r\n" } $self->headers($n)), "\r\n");
}

sub get {
    my ($self, $n, %o) = @_;
    my $c = $n->{contender};

    return $n->get($c->{path}, -port => $n->port('main'),
        map { @$_ } $self->headers($n, %o));
}

# Does it do what it is here for?  Dies when it does not.  The upstream may
# still be busy with what wrk has left behind, so its count gets several
# chances to be that of this request alone.
sub check {
    my ($self, $n) = @_;
    my $c = $n->{contender};
    my $wanted = $c->{upstream} ? 1 : 0;
    my $asked;

    for (1 .. 20) {
        $asked = $self->ask($n);
        last if $asked == $wanted;
        sleep 0.2;
    }

    $asked == $wanted or die "$c->{name}: the upstream was asked $asked times"
        . " for one answer\n";

    my @complaints = $n->complaints;
    die "$c->{name} complains:\n@complaints" if @complaints;
}

# one request, and one without the cookie; how often the upstream was asked
sub ask {
    my ($self, $n) = @_;
    my $c = $n->{contender};
    my $before = $self->served;
    my $r = $self->get($n);

    # the upstream answers 403 to any token but the right one
    $r->status == $c->{answer}
        or die "$c->{name}: ", $r->status, " instead of $c->{answer}\n",
            $r->body, $n->said;

    !$c->{upstream} || $r->body eq 'x' x 200
        or die "$c->{name}: not the upstream's answer\n";

    if ($c->{anonymous}) {
        $r = $self->get($n, anonymous => 1, navigation => 1);
        $r->status == $c->{anonymous}
            or die "$c->{name}: an anonymous request got ", $r->status, "\n";
    }

    return $self->served - $before;
}

# the load generator of our own: exact counts
sub load {
    my ($self, $n, @args) = @_;

    my @command = ('nice', '-n', 0, $self->others, "$TOP/build/bench/load",
        '-p', $n->port('main'), '-f', $self->request_file($n), @args);

    open my $fh, '-|', @command or die "load: $!\n";
    my $line = do { local $/; <$fh> };
    close $fh or die "load failed\n";

    return JSON::PP->new->decode($line);
}

# the same, when every request has to be answered, and counted by the upstream
sub exact_load {
    my ($self, $n, @args) = @_;
    my $c = $n->{contender};
    my $before = $self->served;
    my $r = $self->load($n, @args);
    my $served = $self->served - $before;

    my $good = $r->{status}{$c->{answer}} // 0;

    $r->{sent} == $good
        or die "$c->{name}: of $r->{sent} requests $good were answered with"
            . " $c->{answer}: ", JSON::PP->new->canonical->encode($r->{status}),
            "\n", $n->said;

    !$c->{upstream} || $served == $good
        or die "$c->{name}: $good answers, but the upstream counts $served\n";

    return $r;
}


# -- the end ------------------------------------------------------------------

sub end {
    my ($self) = @_;

    return if $self->{owner} != $$ || $self->{ended}++;

    for my $n (@{ $self->{running} // [] }, $self->{upstream}) {
        eval { $n->stop; 1 } or print STDERR $@ if $n;
    }

    $self->{sim}->stop if $self->{sim};

    if ($ENV{BENCH_KEEP}) {
        print STDERR "kept: $self->{dir}\n";
    } else {
        remove_tree($self->{dir});
    }
}

sub DESTROY { local ($@, $?); $_[0]->end }


1;
