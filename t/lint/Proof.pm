package Proof;

# t/README.md says of each thing that has to hold which tests show it, and each
# of these tests says in its first comment that it does.  So no row loses its
# test, no test its row, and no row goes: they are counted and have no gaps.

use strict;
use warnings;

my $TABLE = 't/README.md';
my $TEST = qr{^t/[\w-]+\.t$|^t/unit/test_\w+\.c$};
my $ID = qr/[A-Z]+(?:-[A-Z]+)?-(?:[A-Z]*[0-9]+|OR)/;


sub check {
    my ($tree) = @_;
    my $text = $tree->text($TABLE) // '';
    my (@wrong, %said, %seen, %count);

    while ($text =~ /^\| ($ID) \| (.*?) \| (.*) \|$/mg) {
        my ($id, $what, $by) = ($1, $2, $3);
        my $place = sub { Tree::place($TABLE, $text, $-[0], "$id $_[0]") };

        push @wrong, $place->('is there twice') if $seen{$id}++;
        push @wrong, $place->('does not say what has to hold')
            if $what !~ /\w\W+\w/;

        if ($by =~ /^(does not apply|not yet): \w.* .*\w$/) {
            $count{$1}++;
            next;
        }

        $count{shown}++;
        push @wrong, $place->('says neither who shows it nor why nobody does')
            if $by !~ /^`[^`]+`(?:, `[^`]+`)*$/;

        for my $path (map { "t/$_" } $by =~ /`([^`]+)`/g) {
            push @wrong, $place->("is shown by $path, which is not there")
                if $path !~ $TEST || !defined $tree->text($path);
            $said{$path}{$id} = 1;
        }
    }

    return ('found nothing: rows', @wrong) if !keys %seen;

    return @wrong, gaps(keys %seen), sum($text, %count),
        map { rows($tree, $_, $said{$_} // {}) }
        grep { $said{$_} || $tree->text($_) } $tree->paths($TEST);
}

# What a test says of itself, and what is said of it.
sub rows {
    my ($tree, $path, $said) = @_;
    my $text = $tree->text($path);
    my ($head) = $text =~ m{\A((?:#[^\n]*\n|\n)+|/\*.*?\*/)}s;
    my ($list) = ($head // '') =~ /^[# ][* ]? ?Rows: (.*?)(?:\n\n|\n \*\/|\z)/ms;
    my %own = map { $_ => 1 } ($list // '') =~ /$ID/g;

    return (
        (map { "$path:1: it does not name its row $_" }
            grep { !$own{$_} } sort keys %$said),
        (map { "$path:1: it names $_, which does not name it" }
            grep { !$said->{$_} } sort keys %own),
    );
}

# In a family of rows each number follows the one before.
sub gaps {
    my (%family, @wrong);

    for (@_) {
        push @{ $family{$1} }, $2 if /^(.*?)(\d+)$/;
    }

    for my $name (sort keys %family) {
        my $next = 1;

        for my $n (sort { $a <=> $b } @{ $family{$name} }) {
            push @wrong, "$TABLE:1: before $name$n there is a row missing"
                if $n != $next;
            $next = $n + 1;
        }
    }

    return @wrong;
}

sub sum {
    my ($text, %count) = @_;
    my @n = map { $count{$_} // 0 } 'shown', 'does not apply', 'not yet';
    my $line = $n[0] + $n[1] + $n[2]
        . " rows: $n[0] shown by tests, $n[1] do not apply, $n[2] not yet.";

    return $text =~ /^\Q$line\E$/m ? ()
        : "$TABLE:1: the rows are counted wrongly: $line";
}


sub controls {
    my $in = sub {
        my ($path, $from, $to, $said) = @_;
        return [ $path, sub { $_[0] =~ s/$from/$to/r }, $said ];
    };

    return (
        $in->($TABLE, qr/^\| CB-02 .*\n/m, '', qr/before CB-03 there is a row missing/),
        $in->($TABLE, qr/^\| F-ABU-10 .*\n/m, '', qr/counted wrongly/),
        $in->($TABLE, qr/^\| CB-02 /m, '| CB-01 ', qr/CB-01 is there twice/),
        $in->($TABLE, qr/`callback-once\.t`/, '`callback-twice.t`', qr/which is not there/),
        $in->($TABLE, qr/^(\| CB-02 \| .*) \| `.*/m, '| CB-02 | one code | somehow |',
            qr/CB-02 says neither/),
        $in->('t/callback-once.t', qr/\bCB-02 ?/, '', qr/does not name its row CB-02/),
        $in->('t/callback-once.t', qr/\bCB-02/, 'CB-02 CB-07', qr/it names CB-07/),
        $in->('t/unit/test_jwt.c', qr/\bID-04 ?/, '', qr/does not name its row ID-04/),
    );
}


1;
