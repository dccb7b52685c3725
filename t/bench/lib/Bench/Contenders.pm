package Bench::Contenders;

# What is compared: one small, whole configuration each.  A new contender is a
# few lines in ALL.
#
#   name      in tables, files and on the command line
#   title     what a reader sees
#   server    inside the server block, http: before it
#   module    1: the module is loaded
#   login     1: requests are those of a browser that has signed in
#   answer    the status that every request gets
#   anonymous the status without the cookie (navigation), where that is not 200
#   upstream  1: every answer comes from the upstream, with the right token
#   alike     the contender that it is compared with; the limit where none is
#             named
#   in        the tables it is in: speed, instructions, rate
#   navigation, browser   1: it accepts HTML; all that a browser sends is there
#   path, cookie          of its request: /, and 1: there is a cookie, whether
#                         or not anybody cares
#   stampede  1: it is in that table, too
#
# Placeholders: those of Test::Intuit, %%UPSTREAM%%, the port of this
# contender's own upstream server, and %%TOKEN%%, a token of 1 KB.

use strict;
use warnings;

use Bench::Apache;
use Bench::Shared;

use constant LIMIT => 'limit';

my $PROXY = <<'END';
            proxy_pass http://upstream;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
END

my $STATIC = <<'END' . $PROXY;
            proxy_set_header Authorization "Bearer %%TOKEN%%";
END

my $INJECTED = <<'END' . $PROXY;
            proxy_set_header Authorization "Bearer $intuit_access_token";
END

my $YES = <<'END';
    server {
        listen 127.0.0.1:%%PORT_yes%%;
        keepalive_requests 1000000000;
        location / {
            return 204;
        }
    }

    upstream yes {
        server 127.0.0.1:%%PORT_yes%%;
        keepalive 64;
        keepalive_requests 1000000000;
    }
END

my $PROVIDER = <<'END';
    intuit_shared_zone zone=intuit:32m;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             http://127.0.0.1:%%UPSTREAM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_main%%/intuit/callback;
        allow_realm         any;
        probe               off;
    }
END

my @EVERYWHERE = qw(speed instructions);

my @ALL = (
    {
        name => LIMIT, title => 'nginx, static Authorization (the limit)',
        answer => 200, upstream => 1, in => [ @EVERYWHERE, 'rate' ],
        server => "        location / {\n$STATIC        }\n",
    }, {
        name => 'limit-again', title => 'the limit once more (A/A)',
        answer => 200, upstream => 1, in => [ @EVERYWHERE, 'rate' ],
        server => "        location / {\n$STATIC        }\n",
    }, {
        name => 'auth-request', title => 'auth_request, in process',
        answer => 200, upstream => 1, in => \@EVERYWHERE,
        server => "        location / {\n            auth_request /yes;\n"
            . "$STATIC        }\n        location = /yes {\n"
            . "            internal;\n            return 204;\n        }\n",
    }, {
        name => 'auth-request-loopback',
        title => 'auth_request, over loopback',
        answer => 200, upstream => 1, in => \@EVERYWHERE, http => $YES,
        server => "        location / {\n            auth_request /yes;\n"
            . "$STATIC        }\n        location = /yes {\n"
            . "            internal;\n            proxy_pass http://yes;\n"
            . "            proxy_http_version 1.1;\n"
            . "            proxy_set_header Connection \"\";\n"
            . "            proxy_pass_request_body off;\n        }\n",
    }, {
        name => 'signed-in', title => 'ours, signed in, proxy_pass',
        stampede => 1,
        answer => 200, upstream => 1, in => [ @EVERYWHERE, 'rate' ],
        module => 1, login => 1, anonymous => 302, http => $PROVIDER,
        server => "        location / {\n            auth_intuit books;\n"
            . "$INJECTED        }\n",
    }, {
        name => 'signed-in-shared', alike => 'signed-in',
        title => 'ours, the same with a store that hosts share',
        answer => 200, upstream => 1, in => [ 'speed' ],
        module => 1, login => 1, anonymous => 302, class => 'Bench::Shared',
        http => Bench::Shared::conf_of($PROVIDER),
        server => "        location / {\n            auth_intuit books;\n"
            . "$INJECTED        }\n",
    }, {
        name => 'limit-browser', title => 'the limit, asked as by a browser',
        answer => 200, upstream => 1, in => [ 'instructions' ], browser => 1,
        server => "        location / {\n$STATIC        }\n",
    }, {
        name => 'signed-in-browser',
        title => 'ours, signed in, asked as by a browser',
        answer => 200, upstream => 1, in => [ 'instructions' ], browser => 1,
        module => 1, login => 1, anonymous => 401, http => $PROVIDER,
        alike => 'limit-browser',
        server => "        location / {\n            auth_intuit books;\n"
            . "$INJECTED        }\n",
    }, {
        name => 'intuit-proxy', title => 'ours, signed in, intuit_proxy',
        answer => 200, upstream => 1, in => \@EVERYWHERE,
        module => 1, login => 1, anonymous => 302, http => $PROVIDER,
        path => '/v3/company/-/item/1',
        server => "        auth_intuit books;\n        location / {\n"
            . "            intuit_limit off;\n"
            . "            intuit_proxy books;\n        }\n",
    }, {
        name => 'all-on', alike => 'intuit-proxy',
        title => 'ours, the same with quota, replay, status on',
        answer => 200, upstream => 1, in => [ 'instructions' ],
        module => 1, login => 1, anonymous => 302, http => $PROVIDER,
        path => '/v3/company/-/item/1',
        server => "        auth_intuit books;\n        location / {\n"
            . "            intuit_limit on rate=3000r/m burst_rate=1000r/s;\n"
            . "            intuit_request_id on;\n"
            . "            intuit_proxy books;\n        }\n"
            . "        location /status {\n            allow 127.0.0.1;\n"
            . "            deny all;\n            intuit_status manage;\n"
            . "        }\n",
    }, {
        name => 'realm', title => 'ours, unattended, realm=',
        answer => 200, upstream => 1, in => \@EVERYWHERE,
        module => 1, login => 1, cookie => 0, http => $PROVIDER,
        path => '/v3/company/-/item/1',
        server => "        location / {\n"
            . "            intuit_limit off;\n"
            . "            intuit_proxy books realm=9130347957983546;\n"
            . "        }\n        location /tool {\n"
            . "            auth_intuit books;\n            root html;\n"
            . "        }\n",
    }, {
        name => 'verify', title => 'ours, verify mode, anonymous',
        answer => 200, upstream => 1, in => \@EVERYWHERE,
        module => 1, cookie => 0, http => $PROVIDER,
        server => "        auth_intuit books;\n"
            . "        auth_intuit_mode verify;\n"
            . "        location / {\n$STATIC        }\n",
    }, {
        name => 'unused', title => 'ours, loaded and not used at all',
        answer => 200, upstream => 1, in => \@EVERYWHERE,
        module => 1,
        server => "        location / {\n$STATIC        }\n",
    }, {
        name => 'loaded', title => 'ours, loaded and used elsewhere',
        answer => 200, upstream => 1, in => [ 'instructions' ],
        module => 1, cookie => 0, http => $PROVIDER,
        server => "        location / {\n$STATIC        }\n"
            . "        location /tool {\n            auth_intuit books;\n"
            . "            root html;\n        }\n",
    }, {
        name => 'apache', title => 'Apache, mod_auth_openidc',
        answer => 200, upstream => 1, in => [ 'speed' ], stampede => 1,
        login => 1, anonymous => 302, class => 'Bench::Apache',
        conf => \&Bench::Apache::conf_of,
    }, {
        name => 'return-302', title => 'nginx, return 302',
        answer => 302, in => \@EVERYWHERE, cookie => 0, navigation => 1,
        server => "        location / {\n            return 302"
            . " http://127.0.0.1/connect/oauth2?client_id=1&state=1;\n"
            . "        }\n",
    }, {
        name => 'anonymous-302', title => 'ours, anonymous, 302',
        answer => 302, in => \@EVERYWHERE, cookie => 0, navigation => 1,
        module => 1, alike => 'return-302', http => $PROVIDER,
        server => "        location / {\n            auth_intuit books;\n"
            . "            root html;\n        }\n",
    }, {
        name => 'anonymous-401', title => 'ours, anonymous, 401',
        answer => 401, in => \@EVERYWHERE, cookie => 0,
        module => 1, alike => 'return-302', http => $PROVIDER,
        server => "        location / {\n            auth_intuit books;\n"
            . "            root html;\n        }\n",
    },
);



sub all {
    return map { { path => '/', cookie => 1, alike => LIMIT, %$_ } }
        grep { !$_->{class} || $_->{class}->there } @ALL;
}

# those of one table; only => names: of these
sub of {
    my ($table, @only) = @_;
    my %wanted = map { $_ => 1 } @only;

    return grep {
        my $c = $_;
        (grep { $_ eq $table } @{ $c->{in} })
            && (!@only || $wanted{$c->{name}} || $c->{name} eq LIMIT
                || grep { $wanted{$_->{name}} && $_->{alike} eq $c->{name} }
                    all())
    } all();
}

# the nginx.conf of one
sub conf {
    my ($c, %o) = @_;

    $o{$_} //= '' for qw(main load);

    my $load = $c->{module} ? "load_module %%MODULE%%;\n" : '';
    my $single = $o{single} ? "master_process off;\n" : '';
    my $workers = $o{single} ? 1 : $o{workers} // 1;
    my $http = $c->{http} // '';
    # valgrind keeps some for itself and lets nobody ask
    my $files = $o{valgrind} ? '' : "worker_rlimit_nofile 16384;\n";
    my $zone = $o{zone};

    $http =~ s/zone=intuit:32m/zone=intuit:$zone/ if $zone;

    return "$load$o{load}$single$files" . <<"END" . $http . <<'END' . $c->{server} . "    }\n}\n";
worker_processes $workers;
error_log %%DIR%%/logs/error.log error;
$o{main}
events {
    worker_connections 8000;
}

http {
    %%TEMP_PATHS%%
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
END

    upstream upstream {
        server 127.0.0.1:%%UPSTREAM%%;
        keepalive 64;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }

    server {
        listen 127.0.0.1:%%PORT_main%% backlog=4096;
        server_name localhost;

END
}

# The upstream: a server for each contender, on a port of its own, that gives
# its 200 bytes to the right token and 403 to any other.  tokens: port =>
# token; stub_status counts.
sub upstream_conf {
    my (%tokens) = @_;
    my $body = 'x' x 200;
    my $servers = '';

    for my $port (sort keys %tokens) {
        $servers .= <<"END";
    server {
        listen 127.0.0.1:$port backlog=4096;

        # the proof of a company, and its name
        location ~ ^/v3/company/\\d+/companyinfo/ {
            proxy_pass %%SIM%%;
        }

        location / {
            if (\$http_authorization $tokens{$port}) {
                return 403;
            }
            return 200 "$body";
        }
    }
END
    }

    return <<'END' . $servers . "}\n";
worker_processes 1;
worker_rlimit_nofile 16384;
error_log %%DIR%%/logs/error.log error;

events {
    worker_connections 8000;
}

http {
    %%TEMP_PATHS%%
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;

    server {
        listen 127.0.0.1:%%PORT_status%%;

        location / {
            stub_status;
        }
    }

END
}


1;
