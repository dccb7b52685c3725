package Bench::Login;

# Logins, with Intuit over TLS: what one costs beside the TLS connection and
# the RSA verification that are in it, and what ten thousand at once take.
# The simulated Intuit is far slower than what is measured; the CPU time of the
# worker tells, and so does the count of handshakes.

use strict;
use warnings;

use File::Path qw(make_path);
use Time::HiRes qw(time sleep);

use Test::Intuit::Dns;
use Test::Intuit::Sim;

use Bench::Figures;
use Bench::Instructions;
use Bench::Nginx;
use Bench::Site;

use constant {
    WARM   => 20,
    LOGINS => 300,
    COUNTED => 50,         # by callgrind
    BATCH  => 200,         # that begin at the same time
};

my $CONF = <<'END';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log error;
worker_processes 1;
worker_rlimit_nofile 65536;

events {
    worker_connections 50000;
}

http {
    %%TEMP_PATHS%%
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    resolver 127.0.0.1:%%DNS%% ipv6=off;

    intuit_shared_zone zone=intuit:64m;

    intuit_provider books {
        environment             sandbox;
        config_url              %%SIM%%/.well-known/openid_configuration;
        api_url                 %%SIM%%;
        client_id               sim-client-id;
        client_secret_file      %%DIR%%/secret;
        scope                   openid com.intuit.quickbooks.accounting;
        redirect_uri            http://localhost:%%PORT_main%%/intuit/callback;
        allow_realm             any;
        probe                   off;
        connect_timeout         300s;
        read_timeout            300s;
        ssl_trusted_certificate %%CERTS%%/ca.crt;
    }

    upstream resumed {
        server 127.0.0.1:%%SIM_PORT%%;
    }

    upstream full {
        server 127.0.0.1:%%SIM_PORT%%;
    }

    proxy_ssl_verify              on;
    proxy_ssl_trusted_certificate %%CERTS%%/ca.crt;
    proxy_ssl_name                localhost;
    proxy_ssl_server_name         on;
    proxy_set_header              Host localhost:%%SIM_PORT%%;

    server {
        listen 127.0.0.1:%%PORT_main%% backlog=4096;
        server_name localhost;

        location / {
            auth_intuit books;
            root html;
        }

        # what plain nginx does for one call over a new TLS connection
        location = /resumed {
            proxy_pass https://resumed/.well-known/openid_configuration;
        }

        location = /full {
            proxy_ssl_session_reuse off;
            proxy_pass https://full/.well-known/openid_configuration;
        }
    }
}
END


# flight: how many at once
sub run {
    my ($class, $site, $say, %o) = @_;
    my $dir = $site->dir . '/login';

    make_path("$dir/certs", "$dir/sim");

    my $dns = Test::Intuit::Dns->start;
    my $sim = Test::Intuit::Sim->start(top => Bench::Site->top,
        dir => "$dir/sim", args => [ '--tls', '--dir', "$dir/certs", '--host',
            'localhost', '--nonce', 'echo', '--access-bytes', 696 ]);
    my $n = Bench::Nginx->new(dir => "$dir/nginx", sim => $sim);

    my $r = eval {
        $n->write_secret('secret', $sim->{client_secret});
        $n->write_file('html/index.html', "the tool\n");
        my $conf = $CONF =~ s/%%DNS%%/$dns->port/ger
            =~ s/%%CERTS%%/$dir\/certs/gr;
        $n->conf($conf)->start;

        my $result = { rsa => rsa(), %{ costs($n, $sim, $say) } };

        $say->('instructions of ' . COUNTED . ' callbacks');
        $result->{ir} = instructions($site, $sim, $conf);

        $say->(Bench::Figures::thousands($o{flight}) . ' logins in flight');

        # a login has two sockets: of so many each of two workers has its half,
        # where no process may have more than 20,000
        $n->stop;
        $n->conf($conf =~ s/^worker_processes 1;/worker_processes 2;/mr
            =~ s/ backlog=4096;/ backlog=4096 reuseport;/r)->start;

        +{ %$result, %{ flight($n, $sim, $o{flight}) } };
    };

    my $failed = $@;

    $n->stop;
    $sim->stop;
    $dns->stop;

    return $r // die $failed, $n->said;
}

# microseconds of one verification with a key of 2048 bits
sub rsa {
    my $text = `openssl speed -seconds 2 rsa2048 2>/dev/null`;

    $text =~ m{^rsa 2048 bits\s+[\d.]+s\s+([\d.]+)s}m
        or die "openssl speed says nothing:\n$text";

    return $1 * 1e6;
}

sub costs {
    my ($n, $sim, $say) = @_;
    my $c = $n->connect;
    my %r;

    for my $kind (qw(full resumed)) {
        $say->("plain nginx, one call over TLS: $kind");

        $r{$kind} = cpu_of($n, sub {
            my $answer = $n->get("/$kind", -connection => $c);
            $answer->status == 200 or die "$kind: ", $answer->status, "\n";
        });
    }

    $say->(LOGINS . ' logins');

    # both warm up: the document, the keys, a session to be resumed
    callback($n, $_) for map { start($n, $c, 1) } 1 .. WARM;
    $sim->reset('journal');

    my @started;
    $r{start} = cpu_of($n, sub { push @started, start($n, $c) }, 0);
    consent($sim, $_) for @started;

    my $begun = time;
    $r{callback} = cpu_of($n, sub { callback($n, shift @started, $c) }, 0);
    $r{rate} = LOGINS / (time - $begun);

    my %seen;
    my @calls = grep { $_->{method} && ($_->{via} // '') ne 'control'
        && $_->{kind} ne 'authorize' } $sim->journal;
    my @connections = grep { !$seen{$_->{connection}}++ } @calls;

    $r{calls} = @calls / LOGINS;
    $r{connections} = @connections / LOGINS;
    $r{full_handshakes} = grep { !$_->{tls}{resumed} } @connections;
    $r{key_reads} = grep { $_->{kind} eq 'jwks' } @calls;

    return \%r;
}

# microseconds of the worker's CPU time, each time
sub cpu_of {
    my ($n, $do, $warm) = @_;

    $do->() for 1 .. $warm // WARM;
    my $before = $n->cpu;
    $do->() for 1 .. LOGINS;

    return ($n->cpu - $before) / LOGINS;
}

# a browser's first request: { cookie, url }
sub start {
    my ($n, $c, $consent) = @_;
    my $r = $n->get('/', -connection => $c, Accept => 'text/html');

    $r->status == 302 or die 'no login begins: ', $r->status, "\n";

    # name=value of each cookie
    my ($cookies) = join '; ', ($r->raw =~ /^Set-Cookie: ([^;\r]+)/mig);
    my $s = { cookie => $cookies, url => $r->header('Location') };

    consent($n->{sim}, $s) if $consent;
    return $s;
}

sub consent {
    my ($sim, $s) = @_;

    $s->{callback} = $sim->authorize(url => $s->{url},
        realm => Bench::Site->REALM) =~ s{^https?://[^/]*}{}r;
}

sub callback {
    my ($n, $s, $c) = @_;
    my $r = $n->get($s->{callback}, ($c ? (-connection => $c) : ()),
        Accept => 'text/html', Cookie => $s->{cookie});

    $r->status == 302 or die 'a login failed: ', $r->status, "\n", $r->body;
}

# So many callbacks at once, whose token calls are not answered: what that
# takes, and that all are answered in the end (with the refusal of a code that
# is none: so many consents would take longer than all the rest).  And the same
# with plain nginx.
sub flight {
    my ($n, $sim, $flight) = @_;
    my $c = $n->connect;
    my $host = 'Host: localhost:' . $n->port('main');

    my $plain = in_flight($n, $sim, 'discovery', map {
        "GET /resumed HTTP/1.1\r\n$host\r\nConnection: close\r\n\r\n" }
        1 .. $flight / 5);

    my $logins = in_flight($n, $sim, 'token', map {
        my $s = start($n, $c);
        my ($state) = $s->{url} =~ /[?&]state=([^&]+)/;
        "GET /intuit/callback?code=none$_&state=$state HTTP/1.1\r\n$host\r\n"
            . "Accept: text/html\r\nCookie: $s->{cookie}\r\n"
            . "Connection: close\r\n\r\n";
    } 1 .. $flight);

    return { flight => $flight, plain_flight => $plain,
        logins_flight => $logins };
}

sub in_flight {
    my ($n, $sim, $kind, @requests) = @_;
    my $count = @requests;
    my (@sockets, %status);

    $sim->script({ kind => $kind, times => -1,
        action => { barrier => $kind } });

    my ($memory, $cpu, $begun) = ($n->memory, $n->cpu, time);

    while (@requests) {
        for my $text (splice @requests, 0, BATCH) {
            my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                PeerPort => $n->port('main'), Proto => 'tcp')
                // die "client: $@\n";
            syswrite $s, $text;
            push @sockets, $s;
        }

        arrived($sim, $kind, scalar @sockets);
    }

    my %r = (seconds => time - $begun,
        memory => ($n->memory - $memory) * 1024 / $count,
        cpu => ($n->cpu - $cpu) / $count);

    $sim->release($kind, open => JSON::PP::true());

    for my $s (@sockets) {
        my $answer = do { local $/; <$s> } // '';
        $status{$1}++ if $answer =~ m{^HTTP/1\.1 (\d+)};
    }

    return { %r, answers => \%status };
}

# waits until so many calls are at the simulator, which takes its time
sub arrived {
    my ($sim, $barrier, $count) = @_;
    my $until = time + 120;

    while (!eval { $sim->parked($barrier, $count); 1 }) {
        die $@ if time > $until;
    }
}

# Where a callback's instructions go: one process under callgrind.
sub instructions {
    my ($site, $sim, $conf) = @_;
    my $out = $site->dir . '/callgrind.login';
    my $n = Bench::Nginx->new(dir => $site->dir . '/login/callgrind',
        sim => $sim, prefix => [ 'valgrind', '--tool=callgrind',
            "--callgrind-out-file=$out" ]);

    # valgrind keeps some files for itself and lets nobody ask
    $conf =~ s/^worker_rlimit_nofile.*\n//m;
    $conf =~ s/worker_connections 50000/worker_connections 500/;

    # ended with the others if this fails
    push @{ $site->{running} }, $n;

    $n->write_secret('secret', $sim->{client_secret});
    $n->write_file('html/index.html', "the tool\n");
    $n->conf("master_process off;\n$conf")->start;

    my $c = $n->connect;
    callback($n, start($n, $c, 1), $c) for 1 .. WARM;
    my @started = map { start($n, $c, 1) } 1 .. COUNTED;

    Bench::Instructions::control($n, '-d');
    callback($n, $_, $c) for @started;
    Bench::Instructions::control($n, '-d');
    $site->stop($n);

    my $dump = "$out.2";
    my $all = Bench::Figures::annotate(
        scalar `callgrind_annotate --inclusive=yes --threshold=100 $dump`, 1);

    return { all => Bench::Figures::summary(Bench::Nginx::slurp($dump))
        / COUNTED, map { $_ => ($all->{$_}{ir} // 0) / COUNTED }
        qw(SSL_do_handshake ngx_intuit_jwt_verify ngx_intuit_json_parse) };
}

sub markdown {
    my ($class, $r) = @_;
    my $us = sub { sprintf '%.0f', $_[0] };
    my $both = $r->{resumed} + $r->{rsa};

    return Bench::Figures::table(
        [ 'CPU of the worker', 'us' ],
        [ 'one RSA verification, 2048 bits (openssl speed)',
            $us->($r->{rsa}) ],
        [ 'plain nginx, one call over a new TLS connection, session resumed',
            $us->($r->{resumed}) ],
        [ 'the same, full handshake', $us->($r->{full}) ],
        [ 'a login begins: 302 to Intuit', $us->($r->{start}) ],
        [ 'its callback: token call, id_token, session',
            $us->($r->{callback}) ],
        [ '... to one resumed call and one verification',
            sprintf('%.2f', $r->{callback} / $both) ],
        [ 'logins a second that one core bears',
            $us->(1e6 / ($r->{start} + $r->{callback})) ],
        [ 'the same, with one call over a full handshake each, at best',
            $us->(1e6 / ($r->{full} + $r->{rsa})) ],
    ) . "\n" . Bench::Figures::table(
        [ 'of ' . LOGINS . ' logins, one after the other', '' ],
        [ 'logins a second, with the simulator', $us->($r->{rate}) ],
        [ 'calls to Intuit each', sprintf('%.2f', $r->{calls}) ],
        [ 'TLS connections each', sprintf('%.2f', $r->{connections}) ],
        [ 'full handshakes in all', $r->{full_handshakes} ],
        [ 'times the signing keys were read', $r->{key_reads} ],
    ) . "\n" . Bench::Figures::table(
        [ 'instructions of a callback, the call to Intuit in it', '', '' ],
        map { [ $_->[0], Bench::Figures::thousands($_->[1]),
            sprintf('%.0f %%', 100 * $_->[1] / $r->{ir}{all}) ] }
            [ 'all', $r->{ir}{all} ],
            [ 'the TLS handshake, resumed', $r->{ir}{SSL_do_handshake} ],
            [ 'the RSA verification', $r->{ir}{ngx_intuit_jwt_verify} ],
            [ 'reading JSON', $r->{ir}{ngx_intuit_json_parse} ],
            [ 'all else', $r->{ir}{all} - $r->{ir}{SSL_do_handshake}
                - $r->{ir}{ngx_intuit_jwt_verify}
                - $r->{ir}{ngx_intuit_json_parse} ],
    ) . "\n" . Bench::Figures::table(
        [ 'in flight, each with a TLS connection of its own to Intuit',
            'at once', 'memory each', 'CPU us each', 'all were out after',
            'answered in the end' ],
        map { my $x = $r->{"$_->[1]_flight"};
            [ $_->[0], Bench::Figures::thousands($_->[2]),
                sprintf('%.1f kB', $x->{memory} / 1024), $us->($x->{cpu}),
                sprintf('%.1f s', $x->{seconds}),
                join(', ', map { Bench::Figures::thousands($x->{answers}{$_})
                    . " by $_" } sort keys %{ $x->{answers} }) ] }
            [ 'plain nginx, proxied', 'plain', $r->{flight} / 5 ],
            [ 'logins', 'logins', $r->{flight} ]);
}


1;
