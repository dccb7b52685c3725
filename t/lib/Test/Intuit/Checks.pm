package Test::Intuit::Checks;

# What every test asserts about the logs that nginx leaves behind.  Each
# check takes the lines of a log and returns the lines that offend, shortened.

use strict;
use warnings;

# Shorter values would be found by chance.
use constant SECRET_MIN => 16;

# What a token, a code or a JWT of the simulator looks like, also when it was
# issued and forgotten before anybody could ask for its value.
use constant SHAPES => qr/
    RT1-39-H3-[0-9]{10}[a-z0-9]{20}
    | XAB11[0-9]{10}[A-Za-z0-9]{35}
    | eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]{16,}
/x;

# Debug lines of nginx itself print requests and their headers; it is our own
# debug lines that must be clean.
use constant NGINX_DEBUG => qr/
    ^\d{4}\/\d\d\/\d\d\ \d\d:\d\d:\d\d\ \[debug\]\ \d+\#\d+:\ (?:\*\d+\ )?+
    (?!(?:http\ )?intuit\b)
/x;

use constant ENTRY => qr/^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d \[/;


sub alerts {
    my ($lines, $allowed) = @_;

    return map { shorten($_) }
        grep { my $line = $_; !grep { $line =~ $_ } @$allowed }
        grep { /\[(?:alert|emerg)\]|exited on signal|exited with fatal code/ }
        @$lines;
}

sub sanitizer {
    my ($lines) = @_;

    return map { shorten($_) }
        grep { /(?:Address|Leak|Memory|Thread|UndefinedBehavior)Sanitizer
            |:\d+:\d+:\ runtime\ error:
            |^==\d+==\ [A-Z\d]/x } @$lines;
}

# lines: of one file
sub secrets {
    my ($lines, @secrets) = @_;
    my (%wanted, @found);

    for my $secret (grep { length >= SECRET_MIN } @secrets) {
        $wanted{$_} = 1 for $secret, Test::Intuit::Sim::escape($secret);
    }

    my @begin = beginnings(keys %wanted);
    my $exempt = 0;

    for my $line (@$lines) {

        # the other lines of an entry, such as headers, have no time
        $exempt = $line =~ NGINX_DEBUG if $line =~ ENTRY;

        next if $exempt;
        next if !grep { $line =~ $_ } SHAPES, @begin;

        my $any = join '|', (map { quotemeta } grep { index($line, $_) >= 0 }
            sort { length $b <=> length $a } keys %wanted), SHAPES;

        push @found, shorten(mask($line, qr/$any/)) if $line =~ /$any/;
    }

    return @found;
}

# Expressions for what begins like one of these.  Perl finds thousands of short
# texts at once, but not of long ones; a line where it does is looked at again.
sub beginnings {
    my %begin = map { substr($_, 0, SECRET_MIN) => 1 } @_;
    my @begin = sort keys %begin;
    my @all;

    while (my @some = splice @begin, 0, 2000) {
        my $some = join '|', map { quotemeta } @some;
        push @all, qr/$some/;
    }

    return @all;
}

# The report is a log, too.
sub mask {
    my ($line, $any) = @_;
    $line =~ s/($any)/'<' . substr($1, 0, 6) . '...>'/ge;
    return $line;
}

sub shorten {
    my ($line) = @_;
    chomp $line;
    return length $line > 400 ? substr($line, 0, 400) . ' ...' : $line;
}


1;
