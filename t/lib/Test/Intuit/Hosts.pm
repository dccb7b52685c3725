package Test::Intuit::Hosts;

# Several nginx that share a store, each with a directory, a zone, ports and
# logs of its own; they have the same configuration, and ask the same
# simulator.

use strict;
use warnings;

use Exporter qw(import);
use Test::Intuit ();

our @EXPORT = qw(hosts);


# hosts($count, $conf): started; the simulator is the first one's.  In $conf
# %%KEY%% is a file with the hosts' common key, and %%FRONT%% the port that
# the redirect URI has on all of them; sim => ['--quota'] is for the simulator.
sub hosts {
    my ($count, $conf, %o) = @_;
    my @hosts;

    my $key = join '', map { sprintf '%x', rand 16 } 1 .. 64;

    for my $n (1 .. $count) {
        my $t = Test::Intuit->new(label => "host $n", sim => $n == 1 && ($o{sim} // 1));
        my $first = $hosts[0] // $t;
        my $text = $conf;

        $t->write_secret('client_secret', $first->sim->{client_secret});
        $t->write_secret('key', $key);

        my %value = (SIM => $first->sim->base, KEY => $t->dir . '/key',
            FRONT => $first->port(8080), %{ $o{values} // {} });

        $text =~ s/%%(\w+)%%/$value{$1} \/\/ "%%$1%%"/ge;

        $t->write_file('html/index.html', "hello\n");
        $t->conf($text);
        push @hosts, $t;
    }

    if (!$o{later}) {
        $_->start for @hosts;
    }

    return @hosts;
}


1;
