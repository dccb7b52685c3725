package Test::Intuit::Plant;

# A copy of this tree in which a bug can be planted, to show that the guard
# that is meant for it does see it.  The copy has a build/ of its own, so that
# only what was changed is built again.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp ();

my $TOP = abs_path(dirname(__FILE__) . '/../../../..');

sub new {
    my ($class) = @_;
    my $self = bless { dir => File::Temp->newdir('intuit-plant-XXXXXX',
        TMPDIR => 1), planted => {} }, $class;
    my $dir = $self->dir;

    system("tar -C '$TOP' --exclude=./build --exclude=./.git "
        . "--exclude=node_modules -cf - . | tar -C '$dir' -xf -") == 0
        or die "the tree cannot be copied\n";

    return $self;
}

sub dir { "$_[0]{dir}" }

# A directory of the real build/, so that it need not be made again.
sub share {
    my ($self, $name) = @_;
    mkdir $self->dir . '/build';
    symlink "$TOP/build/$name", $self->dir . "/build/$name" or die "$name: $!";
}

# Replaces text that is in the file exactly once.
sub plant {
    my ($self, $file, $from, $to) = @_;
    my $text = $self->{planted}{$file} //= $self->slurp($file);

    my $count = () = $text =~ /\Q$from\E/g;
    $count == 1 or die "$file has $count times: $from\n";

    $text =~ s/\Q$from\E/$to/;
    $self->write($file, $text);
}

# Makes all files again what they were.
sub heal {
    my ($self) = @_;
    $self->write($_, $self->{planted}{$_}) for keys %{ $self->{planted} };
    $self->{planted} = {};
}

# Runs a shell command in the copy: (exit status, all that it said).
sub run {
    my ($self, $command) = @_;
    my $dir = $self->dir;
    my $said = `cd '$dir' && ($command) 2>&1`;
    return ($?, $said);
}

sub slurp {
    my ($self, $file) = @_;
    open my $fh, '<:raw', $self->dir . "/$file" or die "$file: $!";
    local $/;
    return scalar <$fh>;
}

sub write {
    my ($self, $file, $text) = @_;
    open my $fh, '>:raw', $self->dir . "/$file" or die "$file: $!";
    print $fh $text;
    close $fh or die "$file: $!";
}


1;
