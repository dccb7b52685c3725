package Bench::Instructions;

# Table two: instructions per request, by callgrind.  One process, one
# connection, one request after the other; the counters are read after SHORT
# requests and after LONG more, and the difference is taken, so that neither
# the start nor the connection nor the reading itself is in it.  The same
# number comes out on a busy machine.

use strict;
use warnings;

use Bench::Contenders;
use Bench::Figures;
use Bench::Nginx;

use constant {
    WARM  => 100,
    SHORT => 200,
    LONG  => 1200,
    TOP   => 20,           # functions that are shown
};

use constant LEFT => <<'END';
A session's cookie is hashed once a worker: SHA-256 of it is 2,900 instructions
here, most of them for the one block, and afterwards the hash is remembered under
a keyed tag (NH of UMAC, some 280 with the look at it). So what is measured is a
browser that comes again; one that comes for the first time to a worker costs
that much more.

What is left over the limit has no large part. The profiles below say what for:
a record of the session and one of the connection, found under one lock, copied
and taken apart; the cookies read to find the session, and the lines looked at for
what has to go; a context, a view and the records' copy; and nginx' own part: five
calls of phase handlers, and a token that is a variable and no constant.
END

# What the functions are there for: the first that fits.
my @GROUPS = (
    [ 'the identifier of the session: tag, and the hash that is remembered',
        qr/intuit_tag|memo|digest|session_id|SHA256|EVP/ ],
    [ 'session and connection read: their bytes taken apart',
        qr/_decode|_read_|record_time/ ],
    [ 'session and connection found: lock, look-up, copy',
        qr/_shm_|shmtx|_reserve|memcpy|memcmp|store/ ],
    [ 'cookies found, header cleaned',
        qr/cookie|clean|_line|identity|header_is|memchr|casecmp|list_|trim/ ],
    [ 'memory of the request, and its context',
        qr/p[nc]?alloc|malloc|free|memalign|memset|_ctx|_pool|view_create|unlink_chunk/ ],
    [ 'variables and their text', qr/variable|script|v?s(?:l|n)?printf/ ],
    [ 'path, URL and address at the API', qr/api_|_path|_url|peer_|next_byte/ ],
    [ 'our handlers and filters', qr/intuit/ ],
    [ "nginx: phases, and its request's other length", qr/./ ],
);

# { name => { ir, by_object, functions, inclusive } }
sub run {
    my ($class, $site, $say, @only) = @_;
    my %result;

    for my $c (Bench::Contenders::of('instructions', @only)) {
        $say->("instructions of $c->{name}");
        $result{$c->{name}} = one($site, $c);
        $say->(sprintf '  %s per request',
            Bench::Figures::thousands($result{$c->{name}}{ir}));
    }

    return \%result;
}

sub one {
    my ($site, $c) = @_;
    my $out = "$site->{dir}/callgrind.$c->{name}";

    my $n = $site->start($c, single => 1, label => '-callgrind',
        prefix => [ 'valgrind', '--tool=callgrind',
            "--callgrind-out-file=$out" ]);

    $site->check($n);
    $site->exact_load($n, -n => WARM);

    # not -z: what is counted from there is told of the wrong functions
    control($n, '-d');
    $site->exact_load($n, -n => SHORT);
    control($n, '-d');
    $site->exact_load($n, -n => LONG);
    control($n, '-d');

    $site->check($n);
    $site->stop($n);

    my ($short, $long) = map { dump_of("$out.$_") } 2, 3;

    # inclusive counts of recursive functions mean little; none is ours
    my %functions = map { $_ => Bench::Figures::per_request($short->{$_},
        $long->{$_}, LONG - SHORT) } qw(no yes);

    return {
        ir        => ($long->{ir} - $short->{ir}) / (LONG - SHORT),
        short     => $short->{ir} / SHORT,
        self      => $functions{no},
        inclusive => $functions{yes},
    };
}

# -d: the counters are written out, and begin at zero
sub control {
    my ($n, $what) = @_;
    my $said = `callgrind_control $what $n->{pid} 2>&1`;

    $? == 0 && $said =~ /OK/ or die "callgrind_control $what: $said\n";
}

sub dump_of {
    my ($path) = @_;
    my %dump = (ir => Bench::Figures::summary(Bench::Nginx::slurp($path)));

    $dump{$_} = Bench::Figures::annotate(scalar(
        `callgrind_annotate --auto=no --threshold=100 --inclusive=$_ $path 2>&1`), $_ eq 'yes')
        for qw(no yes);

    return \%dump;
}


# -- what is shown ------------------------------------------------------------

sub markdown {
    my ($class, $result) = @_;
    my $limit = $result->{+Bench::Contenders::LIMIT}{ir};
    my @rows = ([ 'contender', 'instructions', 'over what', 'over it' ]);

    for my $c (Bench::Contenders::of('instructions')) {
        my $r = $result->{$c->{name}} or next;
        my $base = $result->{$c->{alike}}{ir} // $limit;

        push @rows, [ $c->{title}, Bench::Figures::thousands($r->{ir}),
            $c->{alike} eq $c->{name} ? '' : $c->{alike},
            $c->{alike} eq $c->{name} ? ''
                : sprintf('%+d', sprintf '%.0f', $r->{ir} - $base) ];
    }

    my $text = Bench::Figures::table(@rows) . "\n" . LEFT;

    for my $c (Bench::Contenders::of('instructions')) {
        next if !$c->{module} || !$result->{$c->{name}};
        $text .= "\n" . functions($c, $result->{$c->{name}},
            $result->{$c->{alike}} // next);
    }

    return $text;
}

# The functions that one spends more in than what it is compared with: by
# itself, and with all that it calls.
sub functions {
    my ($c, $this, $that) = @_;
    my @self = Bench::Figures::above($this->{self}, $that->{self});
    my @rows = ([ 'function', 'more by itself', 'with what it calls', 'in' ]);
    my ($shown, $rest) = (0, 0);

    for my $f (@self) {
        my ($name, $more, $object) = @$f;

        if (@rows > TOP || abs $more < 1) {
            $rest += $more;
            next;
        }

        # of functions without a name there are many
        my $all = $name =~ /^\(unnamed/ ? '' : sprintf '%+.0f',
            ($this->{inclusive}{$name}{ir} // 0)
            - ($that->{inclusive}{$name}{ir} // 0);

        $shown += $more;
        push @rows, [ "`$name`", sprintf('%+.0f', $more),
            $all, $object ];
    }

    push @rows, [ 'all others', sprintf('%+.0f', $rest), '', '' ];

    my %sum;

    for my $f (@self) {
        my ($group) = grep { $f->[0] =~ $_->[1] } @GROUPS;
        $sum{$group->[0]} += $f->[1];
    }

    my @groups = ([ 'what for', 'more' ],
        map { [ $_->[0], sprintf '%+.0f', $sum{$_->[0]} ] }
        grep { abs($sum{$_->[0]} // 0) >= 1 } @GROUPS);

    my @ours = grep { ($this->{inclusive}{$_}{object} // q()) =~ /intuit/
        && $this->{inclusive}{$_}{ir} >= 100 } keys %{ $this->{inclusive} };
    my @calls = ([ 'function of ours', 'with what it calls', 'by itself' ]);

    push @calls, map { [ "`$_`",
        sprintf('%.0f', $this->{inclusive}{$_}{ir}),
        sprintf('%.0f', $this->{self}{$_}{ir} // 0) ] }
        sort { $this->{inclusive}{$b}{ir} <=> $this->{inclusive}{$a}{ir}
            || $a cmp $b } @ours;

    return "<details><summary>$c->{title}: where the instructions over"
        . " $c->{alike} go</summary>\n\n" . Bench::Figures::table(@groups)
        . "\n" . Bench::Figures::table(@rows)
        . "\n" . (@calls > 1 ? Bench::Figures::table(@calls) . "\n" : '')
        . "</details>\n";
}


1;
