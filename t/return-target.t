#!/usr/bin/perl

# After a login the browser goes back to the page that it asked for, which is
# always on this site: whatever stands in return_to or in the address of the
# page, no reading of it by a browser (WHATWG URL) leads elsewhere, nor round
# in a circle through our own addresses.
#
# Rows: AZ-11 NGX-OR LES-05 LES-06 LES-19 LES-32

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use IPC::Open2;
use JSON::PP ();

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log error;
worker_processes 1;

events {}

http {
    access_log off;
    keepalive_requests 1000000;
    large_client_header_buffers 4 64k;

    intuit_provider staff {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        root %%DIR%%/html;
        auth_intuit staff;
    }
}
CONF

my $origin = 'http://localhost:' . $t->port;
my (%seen, @strange);

sub corpus {
    my ($name) = @_;
    my %byte = (t => "\t", r => "\r", n => "\n", 0 => "\0", '\\' => '\\');

    open my $fh, '<:raw', "$FindBin::Bin/corpus/return-target/$name"
        or die "$name: $!";

    return map { chomp; s/\\(x([0-9a-f]{2})|.)/$2 ? chr hex $2 : $byte{$1}/gei;
        $_ } grep { /^[^#\n]/ } <$fh>;
}

# Where a browser ends that starts at this address, or undef when the start
# is not a login.
sub ends_at {
    my ($path) = @_;
    my $jar = $t->jar;

    my $r = $t->get($path, -jar => $jar, -browser => 1);
    my $location = $r->header('Location') // '';

    if ($r->status != 302 || $location !~ m{/connect/oauth2\?}) {
        $seen{$location} = 1 if $location ne '';
        return undef;
    }

    $r = $t->get($t->consent($jar, $location), -jar => $jar, -browser => 1);
    $location = $r->header('Location') // 'status ' . $r->status;
    $seen{$location} = 1;

    return $location;
}

sub escaped { Test::Intuit::Sim::escape($_[0]) }

my @accept = corpus('accept.txt');
my @refuse = corpus('refuse.txt');

cmp_ok(scalar @accept, '>', 90, 'targets to accept');
cmp_ok(scalar @refuse, '>', 300, 'targets to refuse');

# those that have the same reading are many: one of three unless asked for all

my $every = $ENV{TEST_ALL} ? 1 : 3;

@refuse = @refuse[grep { $_ % $every == 0 } 0 .. $#refuse];

for my $target (@accept) {
    my $got = ends_at('/intuit/login?return_to=' . escaped($target)) // 'none';
    push @strange, "$target: $got" if $got ne $origin . $target;
}

is("@strange", '', 'what is a page of this site is gone back to');
@strange = ();

for my $target (@refuse) {
    my $got = ends_at('/intuit/login?return_to=' . escaped($target)) // 'none';
    push @strange, escaped($target) . ": $got" if $got ne "$origin/";
}

is("@strange", '', 'anything else becomes the front page');
@strange = ();

# not percent-encoded, as far as nginx lets it through

my $count = 0;

for my $target (grep { !/[\r\n\0 ]/ } @refuse) {
    my $got = ends_at("/intuit/login?return_to=$target") // next;
    $count++;

    # "&" and "#" end the argument, "+" and "%" are decoded
    next if $target =~ /[&#+%]/;
    push @strange, escaped($target) . ": $got" if $got ne "$origin/";
}

is("@strange", '', 'neither does it help to leave it as it is');
cmp_ok($count, '>', 50, 'which many were');
@strange = ();
$count = 0;

# as the address of the page

for my $target (grep { m{^/} && !/[\r\n\0 ]/ } @accept, @refuse) {
    my $got = ends_at($target) // next;
    $count++;
    push @strange, escaped($target) . ": $got"
        if $got ne "$origin/" && $got ne $origin . $target;
}

is("@strange", '', 'the page itself, or the front page');
cmp_ok($count, '>', 100, 'for many an address');
@strange = ();

# our own addresses, spelt in any way that nginx understands

for my $target (qw(/intuit/login /intuit/login?return_to=/a /intuit/logout
    /intuit/callback /intuit/callback?state=a&code=b /intuit/session
    /intuit/%6cogin /intuit/%6Cogin?return_to=/intuit/login /%69ntuit/logout
    /intuit%2flogin /intuit%2Flogout /intuit//login //intuit/login
    /intuit/./login /x/../intuit/login /intuit/callbac%6b))
{
    my $got = ends_at('/intuit/login?return_to=' . escaped($target)) // 'none';
    push @strange, "$target: $got" if $got ne "$origin/";
}

is("@strange", '', 'nobody is sent round through our own addresses');

# what a browser makes of all that was ever seen

my $pid = open2(my $out, my $in, 'node', '-e', <<'JS');
let text = '';
process.stdin.on('data', (d) => text += d).on('end', () => {
    const [base, seen] = JSON.parse(text);
    const away = seen.filter((s) => {
        try {
            const url = new URL(s, base);
            return url.origin !== new URL(base).origin || url.username !== '';
        } catch (e) {
            return true;
        }
    });
    process.stdout.write(JSON.stringify(away));
});
JS

print $in JSON::PP->new->latin1->encode([ "$origin/",
    [ grep { !m{/connect/oauth2\?} } sort keys %seen ] ]);
close $in;
my $away = join '', <$out>;
waitpid $pid, 0;

is($away, '[]', 'no Location leads to another site');

done_testing();
