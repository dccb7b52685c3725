#!/usr/bin/perl

# The bench: see README.md beside it.
#
#     bench.pl [--quick] [--tables pinned,unpinned,rate,instructions,stampede,
#              login,store,reload] [--only NAME,NAME] [--rounds N] [--seconds N]
#              [--sessions N] [--flight N]
#
# The figures go to build/bench/results.json; without --quick and --only to
# t/bench/RESULTS.md and results.svg as well.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Cwd qw(abs_path);
use Getopt::Long qw(GetOptions);
use Time::HiRes qw(time);

use Bench::Contenders;
use Bench::Figures;
use Bench::Goals;
use Bench::Instructions;
use Bench::Login;
use Bench::Reload;
use Bench::Report;
use Bench::Site;
use Bench::Speed;
use Bench::Stampede;
use Bench::Store;

my $TOP = abs_path("$FindBin::Bin/../..");
my $QUICK = 'limit-again,auth-request,signed-in,intuit-proxy,anonymous-302';

# among the load and the upstream on the same cores small things are lost
my @UNPINNED = qw(limit-again signed-in intuit-proxy realm);

my %o = (rounds => 9, seconds => 2, sessions => 1_000_000, flight => 10_000,
    tables => 'pinned,unpinned,rate,instructions,stampede,login,store,reload');

GetOptions(\my %given, 'quick', 'tables=s', 'only=s', 'rounds=i', 'seconds=i',
    'sessions=i', 'flight=i') && !@ARGV or die "see the beginning of $0\n";

%o = (%o, rounds => 3, seconds => 1, tables => 'pinned,instructions',
    only => $QUICK) if $given{quick};
%o = (%o, %given);

$ENV{TEST_MODULE} //= "$TOP/build/release/ngx_http_intuit_auth_module.so";
$ENV{PATH} .= ':/usr/sbin:/sbin';
$| = 1;
chdir $TOP or die "$TOP: $!\n";

# what runs must be ended, whatever happens
$SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);

my $started = time;
my $results = "$TOP/build/bench/results.json";
my $all = $o{quick} || $o{only} ? {} : Bench::Report::load($results);
my @only = split /,/, $o{only} // '';
my $site;

END { my $status = $?; $site->end if $site; $? = $status }

my @tables = split /,/, $o{tables};
my @failed;

for my $table (@tables) {
    Bench::Report::title($table) // die "there is no table $table\n";
}

# once more when it fails: twenty minutes must not be lost for a busy moment
for my $table (@tables) {
    made($table) || made($table) || push @failed, $table;
}

if (!$o{quick} && !@only) {
    Bench::Report::write_file("$TOP/t/bench/RESULTS.md",
        Bench::Report::markdown($all));
    Bench::Report::write_file("$TOP/t/bench/results.svg",
        Bench::Report::svg($all));
    print "\nt/bench/RESULTS.md and results.svg are written\n";
}

print "\n", Bench::Goals::markdown($all) if !$o{quick};
printf "\n%.0f s\n", time - $started;

print "not measured: @failed\n" if @failed;
exit(@failed ? 1 : 0);


# 1: the table is there
sub made {
    my ($table) = @_;
    my $pinned = $table =~ /^(?:pinned|rate)$/;

    say_('', '-- ' . Bench::Report::title($table));

    my $data = eval {
        $site = Bench::Site->new(pinned => $pinned && cores() > 1,
            workers => $pinned ? 1 : 2);
        measured($table);
    };

    my $failed = $@;

    $site->end if $site;
    undef $site;

    if (!$data) {
        say_("$table failed: $failed");
        return 0;
    }

    $all->{$table} = { data => $data };
    Bench::Report::keep($results, $all, $table, $data)
        if !$o{quick} && !@only;

    print "\n", Bench::Report::shown($table, $data);
    return 1;
}

sub measured {
    my ($table) = @_;

    return { pinned => sub { speed(@only) },
        unpinned => sub { speed(@only ? @only : @UNPINNED) },
        rate => \&rate,
        instructions => sub { Bench::Instructions->run($site, \&say_, @only) },
        stampede => sub { Bench::Stampede->run($site, \&say_) },
        login => sub { Bench::Login->run($site, \&say_,
            flight => $o{flight}) },
        store => sub { Bench::Store->run($site, \&say_,
            sessions => $o{sessions}) },
        reload => sub { Bench::Reload->run($site, \&say_,
            sessions => $o{sessions}, seconds => 5 * $o{seconds},
            rate => limit_of('unpinned') / 4) },
    }->{$table}->();
}

sub speed {
    my (@names) = @_;

    return Bench::Speed->run($site, \&say_, rounds => $o{rounds},
        seconds => $o{seconds}, only => \@names);
}

sub rate {
    return Bench::Speed->rate($site, \&say_, rounds => $o{rounds},
        seconds => $o{seconds} + 1, only => \@only,
        limit => limit_of('pinned'));
}

# what the limit could do, requests/s, when it was measured; else a guess that
# any machine bears
sub limit_of {
    my ($table) = @_;
    my $r = $all->{$table} or return 4000;

    return Bench::Figures::medians($r->{data}{+Bench::Contenders::LIMIT})
        ->{rate};
}

sub cores {
    my $n = () = Bench::Report::slurp('/proc/cpuinfo') =~ /^processor\s*:/mg;
    return $n;
}

sub say_ {
    printf "[%4.0f s] %s\n", time - $started, $_ for grep { $_ ne '' } @_;
}
