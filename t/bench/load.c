/*
 * A load generator that counts exactly: one request, always the same bytes,
 * over connections that are kept.
 *
 *     load -p PORT -f REQUEST [-c CONNECTIONS] [-n REQUESTS | -t SECONDS]
 *          [-r RATE]
 *
 * All connections are there before the first request is sent.  Without a rate
 * each connection sends its next request when the last one is answered; with
 * one, requests are due at fixed times, whatever the answers do, and the time
 * of an answer counts from when its request was due: a server that stalls
 * cannot hide it by being asked less.  Every request that was sent is waited
 * for, so that the server's count and this one have to be the same.
 *
 * Prints one line of JSON: times in microseconds, statuses, errors.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>


#define BUFFER    16384
#define STATUSES  600
#define PATIENCE  30000000000LL    /* ns, after the end, for the last answer */


typedef struct {
    int       fd;
    int       busy;
    int       close;             /* the server said so */
    int64_t   due;
    size_t    sent;
    size_t    have;              /* of the header, in buf */
    int64_t   body;              /* still to come; -1: the header is not done */
    int       status;
    char      buf[BUFFER];
} conn_t;

typedef struct {
    int       port;
    int       connections;
    int64_t   requests;          /* 0: time decides */
    int64_t   length;            /* ns */
    double    rate;              /* 0: as fast as answers come */
    char     *text;
    size_t    text_len;
} options_t;


static options_t   o;
static conn_t     *conns;
static conn_t    **idle;
static int         n_idle;
static int         ep, timer;

static int64_t     started, ends;
static int64_t     sent, answered, errors, reconnects;
static int64_t     statuses[STATUSES];
static uint32_t   *times;
static size_t      n_times, room;


static void
die(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    fprintf(stderr, "load: ");
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);

    exit(1);
}


static int64_t
now_ns(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


static void
open_conn(conn_t *c)
{
    int                 one = 1;
    struct epoll_event  ee;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((uint16_t) o.port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    c->fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0);

    if (c->fd == -1
        || connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) != 0)
    {
        die("cannot connect to port %d: %s", o.port, strerror(errno));
    }

    (void) setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void) fcntl(c->fd, F_SETFL, O_NONBLOCK);

    ee.events = EPOLLIN|EPOLLRDHUP;
    ee.data.ptr = c;

    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ee) != 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
}


static void
reopen(conn_t *c)
{
    close(c->fd);
    open_conn(c);
    reconnects++;
}


static void
note(int64_t ns)
{
    if (n_times == room) {
        room = room ? room * 2 : 65536;
        times = realloc(times, room * sizeof(uint32_t));

        if (times == NULL) {
            die("no memory");
        }
    }

    times[n_times++] = (uint32_t) (ns / 1000);
}


static void
send_request(conn_t *c, int64_t due)
{
    ssize_t  n;

    c->busy = 1;
    c->close = 0;
    c->due = due;
    c->have = 0;
    c->body = -1;
    sent++;

    n = send(c->fd, o.text, o.text_len, MSG_NOSIGNAL);

    /* a kept connection may have been closed just now */

    if (n == -1 && errno != EAGAIN) {
        reopen(c);
        n = send(c->fd, o.text, o.text_len, MSG_NOSIGNAL);
    }

    if (n != (ssize_t) o.text_len) {
        die("a request of %zu bytes does not fit into the socket",
            o.text_len);
    }
}


/* how many bytes of the body come; -1: more of the header is needed */

static int64_t
parse(conn_t *c)
{
    char     *end, *p;
    size_t    head;
    int64_t   length;

    c->buf[c->have] = '\0';
    end = strstr(c->buf, "\r\n\r\n");

    if (end == NULL) {
        return -1;
    }

    head = (size_t) (end - c->buf) + 4;
    c->status = atoi(c->buf + sizeof("HTTP/1.1 ") - 1);

    end[2] = '\0';

    p = strcasestr(c->buf, "\r\nContent-Length:");
    length = p ? atoll(p + sizeof("\r\nContent-Length:") - 1) : 0;

    if (p == NULL && c->status != 304 && c->status != 204) {
        die("an answer without Content-Length: %s", c->buf);
    }

    c->close = strcasestr(c->buf, "\r\nConnection: close") != NULL;

    return length - (int64_t) (c->have - head);
}


static void
finished(conn_t *c)
{
    note(now_ns() - c->due);

    statuses[c->status > 0 && c->status < STATUSES ? c->status : 0]++;
    answered++;

    c->busy = 0;

    if (c->close) {
        reopen(c);
    }

    idle[n_idle++] = c;
}


static void
broken(conn_t *c)
{
    if (c->busy) {
        errors++;
        c->busy = 0;
        idle[n_idle++] = c;
    }

    reopen(c);
}


static void
readable(conn_t *c)
{
    char     waste[BUFFER];
    ssize_t  n;

    for ( ;; ) {

        if (c->body < 0) {
            n = recv(c->fd, c->buf + c->have, BUFFER - 1 - c->have, 0);
        } else {
            n = recv(c->fd, waste, sizeof(waste), 0);
        }

        if (n == -1 && errno == EAGAIN) {
            return;
        }

        if (n <= 0 || !c->busy) {
            broken(c);
            return;
        }

        if (c->body < 0) {
            c->have += (size_t) n;
            c->body = parse(c);

            if (c->body < 0 && c->have == BUFFER - 1) {
                die("a header of more than %d bytes", BUFFER);
            }

        } else {
            c->body -= n;
        }

        if (c->body == 0) {
            finished(c);
            return;
        }
    }
}


/* is another request to be sent?  Its time, and when to look again. */

static int
wanted(int64_t now, int64_t *due)
{
    if (o.requests && sent >= o.requests) {
        return 0;
    }

    *due = o.rate > 0 ? started + (int64_t) ((double) sent * 1e9 / o.rate)
                      : now;

    if (!o.requests && *due >= ends) {
        return 0;
    }

    return 1;
}


static void
send_all(void)
{
    int64_t            now, due;
    struct itimerspec  it;

    for ( ;; ) {
        now = now_ns();

        if (!wanted(now, &due) || n_idle == 0) {
            return;
        }

        if (due > now) {
            memset(&it, 0, sizeof(it));
            it.it_value.tv_sec = due / 1000000000;
            it.it_value.tv_nsec = due % 1000000000;
            (void) timerfd_settime(timer, TFD_TIMER_ABSTIME, &it, NULL);
            return;
        }

        send_request(idle[--n_idle], due);
    }
}


static int
over(int64_t now)
{
    int64_t  due;

    if (answered + errors < sent) {
        return now > ends + PATIENCE;
    }

    return !wanted(now, &due);
}


static void
run(void)
{
    int                 i, n;
    char                ticks[8];
    conn_t             *c;
    struct epoll_event  events[256], ee;

    ee.events = EPOLLIN;
    ee.data.ptr = NULL;
    (void) epoll_ctl(ep, EPOLL_CTL_ADD, timer, &ee);

    started = now_ns();
    ends = started + o.length;

    send_all();

    while (!over(now_ns())) {
        n = epoll_wait(ep, events, 256, 100);

        for (i = 0; i < n; i++) {
            c = events[i].data.ptr;

            if (c == NULL) {
                (void) !read(timer, ticks, sizeof(ticks));
            } else {
                readable(c);
            }
        }

        send_all();
    }
}


static int
by_time(const void *a, const void *b)
{
    uint32_t  x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}


static uint32_t
percentile(double p)
{
    size_t  i;

    if (n_times == 0) {
        return 0;
    }

    i = (size_t) (p * (double) n_times);

    return times[i < n_times ? i : n_times - 1];
}


static void
report(int64_t elapsed)
{
    int          i;
    const char  *comma = "";

    qsort(times, n_times, sizeof(uint32_t), by_time);

    printf("{\"sent\":%lld,\"answered\":%lld,\"errors\":%lld,"
           "\"unanswered\":%lld,\"reconnects\":%lld,\"seconds\":%.6f,"
           "\"p50\":%u,\"p90\":%u,\"p99\":%u,\"max\":%u,\"status\":{",
           (long long) sent, (long long) answered, (long long) errors,
           (long long) (sent - answered - errors), (long long) reconnects,
           (double) elapsed / 1e9, percentile(0.5), percentile(0.9),
           percentile(0.99), n_times ? times[n_times - 1] : 0);

    for (i = 0; i < STATUSES; i++) {
        if (statuses[i]) {
            printf("%s\"%d\":%lld", comma, i, (long long) statuses[i]);
            comma = ",";
        }
    }

    printf("}}\n");
}


static void
read_request(const char *path)
{
    FILE  *f;

    f = fopen(path, "rb");
    o.text = malloc(65536);

    if (f == NULL || o.text == NULL) {
        die("%s: %s", path, strerror(errno));
    }

    o.text_len = fread(o.text, 1, 65536, f);
    fclose(f);

    if (o.text_len == 0 || o.text_len == 65536) {
        die("%s is empty or too long", path);
    }
}


static void
options(int argc, char **argv)
{
    int  c;

    o.connections = 1;

    while ((c = getopt(argc, argv, "p:f:c:n:t:r:")) != -1) {

        switch (c) {
        case 'p': o.port = atoi(optarg); break;
        case 'f': read_request(optarg); break;
        case 'c': o.connections = atoi(optarg); break;
        case 'n': o.requests = atoll(optarg); break;
        case 't': o.length = (int64_t) (atof(optarg) * 1e9); break;
        case 'r': o.rate = atof(optarg); break;
        default:  exit(2);
        }
    }

    if (o.port == 0 || o.text == NULL || o.connections < 1
        || (o.requests == 0 && o.length == 0))
    {
        die("see the beginning of load.c");
    }
}


int
main(int argc, char **argv)
{
    int  i;

    options(argc, argv);

    ep = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK|TFD_CLOEXEC);
    conns = calloc((size_t) o.connections, sizeof(conn_t));
    idle = calloc((size_t) o.connections, sizeof(conn_t *));

    if (ep == -1 || timer == -1 || conns == NULL || idle == NULL) {
        die("no memory, or no descriptors");
    }

    for (i = 0; i < o.connections; i++) {
        open_conn(&conns[i]);
        idle[n_idle++] = &conns[i];
    }

    run();
    report(now_ns() - started);

    return 0;
}
