package Tree;

# The tree as the lints see it: path => text.  A lint gets one of these, so
# that a breach can be planted in a copy.

use strict;
use warnings;

use File::Find ();


# What is below these is not ours, or not source.
my $SKIPPED = qr{^(?:\.git|build|t/node_modules|t/unit/build)$};

sub read {
    my ($class, $top) = @_;
    my %file;

    File::Find::find({ no_chdir => 1, wanted => sub {
        my $path = $File::Find::name =~ s{^\Q$top\E/?}{}r;

        if ($path =~ $SKIPPED) {
            $File::Find::prune = 1;
            return;
        }

        return if $path eq '' || !-f || -l || -B;
        open my $fh, '<', $_ or die "$_: $!";
        local $/;
        $file{$path} = <$fh> // '';
    } }, $top);

    return bless \%file, $class;
}

sub empty { return bless {}, $_[0] }

# A copy in which one file is another one; text => undef: is not there.
sub with {
    my ($self, $path, $text) = @_;
    my %file = (%$self, $path => $text);

    delete $file{$path} if !defined $text;
    return bless \%file, ref $self;
}

sub text { $_[0]{$_[1]} }

sub paths {
    my ($self, $pattern) = @_;
    return grep { $_ =~ $pattern } sort keys %$self;
}

# The module's own C files.
sub sources { $_[0]->paths(qr{^(?:src/)?ngx_\w+\.[ch]$}) }
sub c_files { $_[0]->paths(qr{^(?:src/)?ngx_\w+\.c$}) }

# C without comments, and without what stands in strings: as long as before,
# line for line.
sub code {
    my ($self, $path) = @_;
    return blank($self->{$path}, 1);
}

# The same, but with the strings.
sub uncommented {
    my ($self, $path) = @_;
    return blank($self->{$path}, 0);
}

my %blanked;

sub blank {
    my ($text, $strings) = @_;
    return $blanked{$strings}{$text} //= blanked($text, $strings);
}

sub blanked {
    my ($text, $strings) = @_;
    my $space = sub { $_[0] =~ s/[^\n]/ /gr };

    $text =~ s{(/\*.*?\*/)|"((?:[^"\\\n]|\\.)*)"|('(?:[^'\\\n]|\\.)*')}{
        defined $1 ? $space->($1)
            : defined $3 ? ($strings ? "' '" . ' ' x (length($3) - 3) : $3)
            : $strings ? '"' . $space->($2) . '"' : qq{"$2"}
    }gse;

    return $text;
}

my %found;

# The functions of a C file: name, line, length in lines (signature and
# braces included), parameters and body (without comments and strings).
sub functions {
    my ($self, $path) = @_;
    my $code = $self->code($path);
    return @{ $found{$code} //= [ found($code) ] };
}

sub found {
    my ($code) = @_;
    my @found;

    while ($code =~ /^(?:static )?(?:const )?[\w ]+?[ *]*\n(\w+)\(([^{}]*?)\)\n\{\n(.*?)^\}\n/msg) {
        my ($name, $parameters, $body) = ($1, $2, $3);
        my $line = 1 + (substr($code, 0, $-[0]) =~ tr/\n//);

        push @found, { name => $name, line => $line, body => $body,
            length => (substr($code, $-[0], $+[0] - $-[0]) =~ tr/\n//),
            first => 1 + (substr($code, 0, $-[3]) =~ tr/\n//),
            parameters => [ $parameters eq 'void' ? ()
                : split /,\s*/, $parameters ] };
    }

    return @found;
}

# All that matches, as "path:line: what".
sub matches {
    my ($path, $text, $pattern, $what) = @_;
    my @found;

    while ($text =~ /$pattern/g) {
        push @found, place($path, $text, $-[0], $what);
    }

    return @found;
}

sub place {
    my ($path, $text, $offset, $what) = @_;
    my $line = 1 + (substr($text, 0, $offset) =~ tr/\n//);
    return "$path:$line: $what";
}


1;
