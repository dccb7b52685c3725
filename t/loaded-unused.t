#!/usr/bin/perl

# The promise: an nginx that loads the module and does not use it is the nginx that
# it was: the same answers byte by byte, the same log, no zone, no timer, no
# connection, as much memory but for the module's own code.
#
# Rows: NGX-S2

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my @requests = map { my $line = $_; map { "$line$_\r\n\r\n" } '',
        "\r\nCookie: __Host-intuit=" . 'A' x 43 . '; a=1',
        "\r\nAuthorization: Bearer x\r\nX-User: mallory\r\nX_User: b" }
    map { "$_ HTTP/1.1\r\nHost: localhost\r\nConnection: close" }
    'GET /', 'GET /intuit/login', 'GET /intuit/callback?code=a&state=b',
    'POST /intuit/logout', 'GET /echo/x?code=a', 'GET /nothing', 'HEAD /',
    'OPTIONS /', 'GET /intuit/session', 'GET /redirect', 'GET /error';

my $conf = <<'CONF';
%%LOAD%%
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    %%TEMP_PATHS%%
    log_format plain '$request $status $body_bytes_sent "$http_cookie"';
    access_log %%DIR%%/logs/access.log plain;
    underscores_in_headers on;

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        root %%DIR%%/html;

        location /echo/ { proxy_pass http://127.0.0.1:%%PORT_8081%%; }
        location /redirect { return 302 /; }
        location /error { proxy_pass http://127.0.0.1:1; }
    }

    server {
        listen 127.0.0.1:%%PORT_8081%%;
        return 200 "$request_uri $http_cookie $http_authorization $http_x_user\n";
    }
}
CONF

my (%seen, %nginx, %worker);

for my $which (qw(plain loaded)) {
    my $t = $nginx{$which} = Test::Intuit->new(sim => 0, label => $which);
    my $load = $which eq 'loaded' ? 'load_module %%MODULE%%;' : '';

    $t->write_file('html/index.html', "in\n");
    # nginx writes these addresses into its log
    $t->conf($conf =~ s/%%LOAD%%/$load/r)->start;

    my $neutral = $seen{$which}{neutral} = sub {
        my ($text) = @_;
        my ($dir, @ports) = ($t->dir, map { $t->port($_) } 8080, 8081);

        $text =~ s/\Q$dir\E/DIR/g;
        $text =~ s/\b$ports[$_]\b/PORT$_/g for 0, 1;
        $text =~ s/^(?:Date|Last-Modified|ETag): .*\r\n//mg;
        $text =~ s{^\S+ \S+ (\[\w+\]) \d+#\d+: (?:\*\d+ )?}{$1 }mg;
        $text =~ s/\b\d+(?=$| exited|\))//mg if $text =~ /worker process/;
        return $text;
    };

    $seen{$which}{answers} = [ map { $neutral->($t->http($_)->raw) } @requests ];
    ok($t->reload, "$which: reloaded");
    my ($pid) = $t->workers;
    $worker{$which} = $pid;
    $t->http($_) for @requests;

    my %maps = map { $_ => 1 } split /\n/, slurp("/proc/$pid/maps");
    $seen{$which}{shared} = [ sort map { m{rw-s\s\S+\s\S+\s\S+\s+(.*)} ? $1 : () }
        keys %maps ];
    ($seen{$which}{memory}) = slurp("/proc/$pid/smaps_rollup")
        =~ /^Private_Dirty:\s+(\d+)/m;
}

# connections, and the channel to the worker before, may be closed a bit later
ok($nginx{plain}->wait_until(sub { files('plain') == files('loaded') }),
    'no descriptor') or diag files('plain') . ', and ' . files('loaded');

for my $which (qw(plain loaded)) {
    my ($t, $neutral) = ($nginx{$which}, $seen{$which}{neutral});

    $t->stop;

    $seen{$which}{access} = [ map { $neutral->($_) } $t->log_lines('logs/access.log') ];
    $seen{$which}{error} = [ grep { !/signal \d+|exiting|exit$|start worker|event method/ }
        map { $neutral->($_) } $t->log_lines ];
}

sub files { return scalar(() = glob "/proc/$worker{$_[0]}/fd/*") }

sub slurp {
    open my $fh, '<', $_[0] or return '';
    local $/;
    return scalar <$fh> // '';
}

my ($plain, $loaded) = @seen{qw(plain loaded)};

cmp_ok(scalar @{ $plain->{answers} }, '==', 33, 'there are answers');
is_deeply($loaded->{answers}, $plain->{answers}, 'the same answers, byte by byte');
is_deeply($loaded->{access}, $plain->{access}, 'the same in access_log');
is_deeply($loaded->{error}, $plain->{error}, 'the same in error_log');
is_deeply($loaded->{shared}, $plain->{shared}, 'no memory that is shared');

# the module's tables, those of the libraries that it brings, and what is relocated
cmp_ok($loaded->{memory}, '<', $plain->{memory} + 2048,
    "memory of a worker: $plain->{memory} KB, and $loaded->{memory} KB")
    if ($ENV{TEST_VARIANT} // '') ne 'asan';

done_testing();
