package Bench::Report;

# What was measured, as Markdown and as a plot.  The figures are kept in a file
# of JSON, table by table, each with the time and the commit that it is of, so
# that one table can be made anew without the others.

use strict;
use warnings;

use JSON::PP ();
use POSIX ();

use Bench::Contenders;
use Bench::Figures;
use Bench::Goals;
use Bench::Instructions;
use Bench::Login;
use Bench::Reload;
use Bench::Speed;
use Bench::Stampede;
use Bench::Store;

my @TABLES = (
    [ pinned => 'Speed: one worker on a core of its own',
        'Everything else is on the other core. 32 connections, 1 KB tokens,'
        . ' answers of 200 bytes. Ratios and differences are medians of those'
        . ' of each round. CPU is the time of the worker, the kernel\'s part'
        . ' in it; memory that of master and worker.',
        sub { Bench::Speed->markdown($_[0]) } ],
    [ unpinned => 'Speed: two workers, all cores for everybody',
        'The same requests; the load generator and the upstream compete.',
        sub { Bench::Speed->markdown($_[0]) } ],
    [ rate => 'Waiting at 80 % of what the limit can do',
        'Requests are due at fixed times; an answer\'s time counts from when'
        . ' its request was due.',
        sub { Bench::Speed->rate_markdown($_[0]) } ],
    [ instructions => 'Instructions per request',
        'By callgrind: one process, one connection, request after request, in'
        . ' user space. valgrind knows no SHA instructions: where the CPU has'
        . ' them, hashing is cheaper than shown here.',
        sub { Bench::Instructions->markdown($_[0]) } ],
    [ stampede => 'Everybody at once on an expired token',
        'The token call takes 200 ms.',
        sub { Bench::Stampede->markdown($_[0]) } ],
    [ login => 'Logins',
        'Intuit is spoken to over TLS 1.3, with certificates verified.',
        sub { Bench::Login->markdown($_[0]) } ],
    [ store => 'A million sessions',
        'One real login, copied: in nginx\'s own slabs, which give pieces of a'
        . ' power of two.',
        sub { Bench::Store->markdown($_[0]) } ],
    [ reload => 'Reloads under load',
        'A kept connection that the old worker closes as a request is on its'
        . ' way is a failed request, with plain nginx as well.',
        sub { Bench::Reload->markdown($_[0]) } ],
);


sub title { my ($name) = @_; return (map { $_->[1] } grep { $_->[0] eq $name } @TABLES)[0] }

# one table as it is printed
sub shown {
    my ($name, $data) = @_;
    my ($table) = grep { $_->[0] eq $name } @TABLES;

    return "## $table->[1]\n\n$table->[2]\n\n" . $table->[3]->($data);
}

sub load {
    my ($path) = @_;

    open my $fh, '<', $path or return {};
    local $/;
    return JSON::PP->new->decode(scalar <$fh>);
}

sub keep {
    my ($path, $all, $name, $data) = @_;

    chomp(my $commit = `git describe --always --dirty 2>/dev/null` || '?');
    # another run may have written others meanwhile
    %$all = (%{ load($path) }, $name => { data => $data, commit => $commit,
        time => POSIX::strftime('%Y-%m-%d %H:%M UTC', gmtime) });

    write_file($path, JSON::PP->new->canonical->encode($all));
}

sub write_file {
    my ($path, $text) = @_;

    open my $fh, '>', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";
}

sub markdown {
    my ($all) = @_;

    my $text = "# How fast it is\n\nMade by `make bench`; what is measured,"
        . " and how, is in [README.md](README.md).\n\n" . machine() . "\n";

    my $goals = Bench::Goals::markdown($all);
    $text .= "## Goals\n\n$goals\n" if $goals;

    $text .= "![requests per second, and instructions, to those of plain"
        . " nginx](results.svg)\n" if $all->{pinned} || $all->{instructions};

    for my $table (@TABLES) {
        my $r = $all->{$table->[0]} or next;

        $text .= "\n" . shown($table->[0], $r->{data})
            . "\n$r->{time}, at commit $r->{commit}.\n";
    }

    return $text;
}

sub machine {
    my ($cpu) = (slurp('/proc/cpuinfo') =~ /^model name\s*:\s*(.*)/m);
    my ($memory) = (slurp('/proc/meminfo') =~ /^MemTotal:\s*(\d+)/m);
    my $cores = () = slurp('/proc/cpuinfo') =~ /^processor\s*:/mg;
    my $sha = slurp('/proc/cpuinfo') =~ /\bsha_ni\b/ ? '' : ' no';
    my ($system) = slurp('/etc/os-release') =~ /^PRETTY_NAME="?([^"\n]*)/m;

    return Bench::Figures::table(
        [ 'machine', '' ],
        [ 'CPU', sprintf '%s, %d cores,%s SHA instructions', $cpu // '?',
            $cores, $sha ],
        [ 'memory', sprintf '%.0f GB', ($memory // 0) / 1024 / 1024 ],
        [ 'system', join ', ', $system // '?', first('uname -sr') ],
        [ 'nginx', first(Test::Intuit::nginx() . ' -v') =~ s/.*: //r ],
        [ 'OpenSSL', first('openssl version') ],
        [ 'load', first('wrk -v') =~ s/ Copyright.*//r ],
        [ 'counting', first('valgrind --version') ],
        [ 'Apache', first('apache2 -v') =~ s/.*: //r ],
    );
}

sub first {
    my ($command) = @_;
    my ($line) = split /\n/, `PATH=\$PATH:/usr/sbin $command 2>&1` // '';
    return !defined $line || $line =~ /not found/ ? 'not there' : $line =~ s/\s+$//r;
}

sub slurp {
    my ($path) = @_;
    open my $fh, '<', $path or return '';
    local $/;
    return scalar <$fh> // '';
}


# -- the plot -----------------------------------------------------------------

# Bars: requests/s to the limit's, and instructions over it.
sub svg {
    my ($all) = @_;
    my @parts;

    if (my $r = $all->{pinned}) {
        my $rounds = $r->{data};
        push @parts, [ 'requests/s, one worker on one core (the limit is 1)',
            '%.3f', map { [ $_->{title}, (Bench::Figures::ratios(
                $rounds->{$_->{name}},
                $rounds->{+Bench::Contenders::LIMIT}, 'rate'))[0] ] }
            grep { $rounds->{$_->{name}} } Bench::Contenders::of('speed') ];
    }

    if (my $r = $all->{instructions}) {
        push @parts, [ 'instructions per request', '%.0f',
            map { [ $_->{title}, $r->{data}{$_->{name}}{ir} ] }
            grep { $r->{data}{$_->{name}} }
            Bench::Contenders::of('instructions') ];
    }

    return bars(@parts);
}

sub bars {
    my (@parts) = @_;
    my ($width, $left, $right, $step) = (760, 290, 80, 20);
    my ($y, $body) = (10, '');

    for my $part (@parts) {
        my ($title, $format, @values) = @$part;
        my ($most) = sort { $b <=> $a } map { $_->[1] } @values;

        $y += $step;
        $body .= qq(<text x="10" y="$y" font-weight="bold">$title</text>\n);
        $y += 8;

        for my $v (@values) {
            my $long = sprintf '%.1f',
                ($width - $left - $right) * $v->[1] / ($most || 1);
            my $colour = $v->[0] =~ /^ours/ ? '#2c7a4b' : '#9aa5b1';
            my $base = $y + 13;

            $body .= sprintf qq(<text x="%d" y="%d" text-anchor="end">%s</text>\n),
                $left - 8, $base, $v->[0];
            $body .= qq(<rect x="$left" y="@{[ $y + 2 ]}" width="$long")
                . qq( height="14" fill="$colour"/>\n);
            $body .= sprintf qq(<text x="%.1f" y="%d">$format</text>\n),
                $left + $long + 6, $base, $v->[1];
            $y += $step;
        }

        $y += 12;
    }

    return qq(<svg xmlns="http://www.w3.org/2000/svg" width="$width")
        . qq( height="$y" font-family="sans-serif" font-size="12">\n)
        . qq(<rect width="100%" height="100%" fill="#ffffff"/>\n$body</svg>\n);
}


1;
