/*
 * State files, the blocking side.
 *
 * All writers of a directory take turns, by a lock on a file of its own, so
 * that "there is nothing newer than what I know" stays true until the new
 * file is there.  What does not open is never removed.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_intuit_state_file.h"
#include "ngx_intuit_point.h"
#include "ngx_intuit_record.h"

#include <sys/file.h>


#define NGX_HTTP_INTUIT_STATE_TEMP   "tmp"
#define NGX_HTTP_INTUIT_STATE_LOCK   "lock"
#define NGX_HTTP_INTUIT_STATE_WRITE  ".lock"


static ngx_int_t ngx_http_intuit_state_scan(
    ngx_http_intuit_state_work_t *work, int dir, ngx_array_t *older,
    uint64_t *last);
static ngx_uint_t ngx_http_intuit_state_over(
    const ngx_http_intuit_state_work_t *work);
static ngx_int_t ngx_http_intuit_state_put(ngx_http_intuit_state_work_t *work,
    int dir);
static ngx_int_t ngx_http_intuit_state_sync(ngx_http_intuit_state_work_t *work,
    int dir);
static ngx_int_t ngx_http_intuit_state_fill(ngx_http_intuit_state_work_t *work,
    int dir, const u_char *name, const ngx_str_t *sealed);
static int ngx_http_intuit_state_lock_file(int dir, const char *name);
static ngx_int_t ngx_http_intuit_state_failed(
    ngx_http_intuit_state_work_t *work, const char *what);
static DIR *ngx_http_intuit_state_list(int dir);


ngx_int_t
ngx_http_intuit_state_write(ngx_http_intuit_state_work_t *work)
{
    int                  dir, lock;
    u_char               name[NGX_INTUIT_STATE_NAME_SIZE];
    uint64_t             last, *generation;
    ngx_int_t            rc;
    ngx_str_t            plain;
    ngx_uint_t           i;
    ngx_array_t          older;
    ngx_intuit_state_t   state;

    plain = work->plain;
    last = 0;

    if (ngx_array_init(&older, work->pool, 4, sizeof(uint64_t)) != NGX_OK) {
        return ngx_http_intuit_state_failed(work, "memory");
    }

    dir = ngx_http_intuit_state_dir(work);
    if (dir == -1) {
        return NGX_ERROR;
    }

    lock = ngx_http_intuit_state_lock_file(dir, NGX_HTTP_INTUIT_STATE_WRITE);

    if (lock == -1 || flock(lock, LOCK_EX) == -1) {
        rc = ngx_http_intuit_state_failed(work, "lock");
        goto done;
    }

    rc = ngx_http_intuit_state_scan(work, dir, &older, &last);
    if (rc != NGX_OK) {
        goto done;
    }

    /* work->plain is what was found now */

    if (work->found == work->state.generation
        && work->plain.len == plain.len
        && ngx_memcmp(work->plain.data, plain.data, plain.len) == 0)
    {
        /* it is there already: the directory could not be synced */
        rc = ngx_http_intuit_state_sync(work, dir);
        goto done;
    }

    if (work->found > work->base && !ngx_http_intuit_state_over(work)) {
        rc = NGX_DECLINED;
        goto done;
    }

    if (last >= work->state.generation) {
        work->state.generation = last + 1;
    }

    work->plain = plain;

    rc = ngx_http_intuit_state_put(work, dir);
    if (rc != NGX_OK) {
        goto done;
    }

    ngx_intuit_point("file-synced");

    state = work->state;
    generation = older.elts;

    for (i = 0; i < older.nelts; i++) {
        state.generation = generation[i];
        ngx_intuit_state_name(name, &state);
        (void) unlinkat(dir, (char *) name, 0);
    }

done:

    if (lock != -1) {
        (void) close(lock);
    }

    (void) close(dir);

    return rc;
}


ngx_int_t
ngx_http_intuit_state_unlink(ngx_http_intuit_state_work_t *work)
{
    int                  dir, lock;
    u_char               name[NGX_INTUIT_STATE_NAME_SIZE];
    uint64_t             last, *generation;
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_array_t          older;
    ngx_intuit_state_t   state;

    last = 0;

    if (ngx_array_init(&older, work->pool, 4, sizeof(uint64_t)) != NGX_OK) {
        return ngx_http_intuit_state_failed(work, "memory");
    }

    dir = ngx_http_intuit_state_dir(work);
    if (dir == -1) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;
    lock = ngx_http_intuit_state_lock_file(dir, NGX_HTTP_INTUIT_STATE_WRITE);

    if (lock == -1 || flock(lock, LOCK_EX) == -1) {
        (void) ngx_http_intuit_state_failed(work, "lock");

    } else {
        rc = ngx_http_intuit_state_scan(work, dir, &older, &last);
    }

    state = work->state;
    generation = older.elts;

    for (i = 0; rc == NGX_OK && i < older.nelts; i++) {

        if (generation[i] > work->base) {
            continue;
        }

        state.generation = generation[i];
        ngx_intuit_state_name(name, &state);

        if (unlinkat(dir, (char *) name, 0) == -1) {
            rc = ngx_http_intuit_state_failed(work, "unlink");
        }
    }

    if (rc == NGX_OK && older.nelts && fsync(dir) == -1) {
        rc = ngx_http_intuit_state_failed(work, "fsync directory");
    }

    if (lock != -1) {
        (void) close(lock);
    }

    (void) close(dir);

    return rc;
}


int
ngx_http_intuit_state_dir(ngx_http_intuit_state_work_t *work)
{
    int  dir;

    dir = open(work->path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (dir == -1) {
        (void) ngx_http_intuit_state_failed(work, "open directory");
    }

    return dir;
}


static ngx_int_t
ngx_http_intuit_state_failed(ngx_http_intuit_state_work_t *work,
    const char *what)
{
    work->err = ngx_errno;
    work->what = what;

    return NGX_ERROR;
}


/*
 * Looks at all files of one connection: the newest that opens goes to plain
 * and found, the generations of all that open to older, and the highest
 * number of any to last.
 */

static ngx_int_t
ngx_http_intuit_state_scan(ngx_http_intuit_state_work_t *work, int dir,
    ngx_array_t *older, uint64_t *last)
{
    DIR                           *list;
    uint64_t                      *generation;
    ngx_str_t                      plain;
    struct dirent                 *entry;
    ngx_http_intuit_state_work_t   file;

    list = ngx_http_intuit_state_list(dir);
    if (list == NULL) {
        return ngx_http_intuit_state_failed(work, "read directory");
    }

    file = *work;
    work->found = 0;

    for ( ;; ) {
        ngx_set_errno(0);

        entry = readdir(list);
        if (entry == NULL) {
            break;
        }

        if (ngx_intuit_state_parse((u_char *) entry->d_name, &file.state)
            != NGX_OK
            || ngx_memcmp(file.state.id, work->state.id,
                          NGX_INTUIT_STATE_ID_LEN)
               != 0)
        {
            continue;
        }

        *last = ngx_max(*last, file.state.generation);

        if (ngx_http_intuit_state_read(&file, dir, &plain) != NULL) {
            continue;
        }

        generation = ngx_array_push(older);
        if (generation == NULL) {
            break;
        }

        *generation = file.state.generation;

        if (file.state.generation > work->found) {
            work->found = file.state.generation;
            work->plain = plain;
        }
    }

    work->err = ngx_errno;
    (void) closedir(list);

    if (work->err) {
        work->what = "read directory";
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Another nginx that shares the directory has refreshed what was disconnected
 * here: that makes its file newer, and no consent of it.
 */

static ngx_uint_t
ngx_http_intuit_state_over(const ngx_http_intuit_state_work_t *work)
{
    ngx_intuit_connection_t  c;

    return work->buried
           && ngx_intuit_connection_decode(&work->plain, &c) == NGX_OK
           && c.current.issued <= work->buried
           && c.spare.issued <= work->buried;
}


/* a position of its own: dir stays open */

static DIR *
ngx_http_intuit_state_list(int dir)
{
    int   fd;
    DIR  *list;

    fd = openat(dir, ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    if (fd == -1) {
        return NULL;
    }

    list = fdopendir(fd);
    if (list == NULL) {
        (void) close(fd);
    }

    return list;
}


const char *
ngx_http_intuit_state_read(ngx_http_intuit_state_work_t *work, int dir,
    ngx_str_t *plain)
{
    int           fd;
    u_char        name[NGX_INTUIT_STATE_NAME_SIZE];
    ssize_t       n;
    ngx_int_t     rc;
    ngx_str_t     sealed;
    struct stat   fi, di;
    const char   *wrong;

    work->err = 0;
    wrong = NULL;

    ngx_intuit_state_name(name, &work->state);

    /* a FIFO must not be waited for, a symlink not be followed */

    fd = openat(dir, (char *) name, O_RDONLY|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC);

    if (fd == -1) {
        work->err = ngx_errno;
        return work->err == NGX_ELOOP ? "it is a symbolic link"
                                      : "it cannot be opened";
    }

    if (fstat(fd, &fi) == -1 || fstat(dir, &di) == -1) {
        work->err = ngx_errno;
        wrong = "it cannot be looked at";

    } else if (!S_ISREG(fi.st_mode)) {
        wrong = "it is no regular file";

    } else if (fi.st_uid != di.st_uid && fi.st_uid != 0) {
        wrong = "it belongs to another user than the directory";

    } else if (fi.st_mode & 0077) {
        wrong = "others may read or write it, chmod 0600 would do";

    } else if (fi.st_size == 0) {
        wrong = "it is empty";

    } else if (fi.st_size > NGX_HTTP_INTUIT_STATE_FILE_MAX) {
        wrong = "it is too large";
    }

    if (wrong != NULL) {
        (void) close(fd);
        return wrong;
    }

    sealed.len = (size_t) fi.st_size;
    sealed.data = ngx_pnalloc(work->pool, sealed.len);

    n = -1;

    if (sealed.data != NULL) {
        n = read(fd, sealed.data, sealed.len);
        work->err = ngx_errno;
    }

    (void) close(fd);

    if (n != (ssize_t) sealed.len) {
        return "it cannot be read";
    }

    work->err = 0;

    rc = ngx_intuit_state_open(work->pool, work->keys, work->nkeys,
                               &work->state, &sealed, plain);

    return rc == NGX_OK ? NULL
                        : "it was damaged, or no encryption_key_file has "
                          "its key";
}


static ngx_int_t
ngx_http_intuit_state_put(ngx_http_intuit_state_work_t *work, int dir)
{
    u_char     name[NGX_INTUIT_STATE_NAME_SIZE];
    u_char     temp[NGX_INTUIT_STATE_NAME_SIZE];
    ngx_int_t  rc;
    ngx_str_t  sealed;

    if (ngx_intuit_state_seal(work->pool, &work->keys[0], &work->state,
                              &work->plain, &sealed)
        != NGX_OK)
    {
        return ngx_http_intuit_state_failed(work, "seal");
    }

    ngx_intuit_state_name(name, &work->state);
    ngx_intuit_state_name_of(temp, &work->state, NGX_HTTP_INTUIT_STATE_TEMP);

    (void) unlinkat(dir, (char *) temp, 0);

    rc = ngx_http_intuit_state_fill(work, dir, temp, &sealed);

    ngx_intuit_point("file-written");

    if (rc == NGX_OK
        && renameat(dir, (char *) temp, dir, (char *) name) == -1)
    {
        rc = ngx_http_intuit_state_failed(work, "rename");
    }

    if (rc != NGX_OK) {
        (void) unlinkat(dir, (char *) temp, 0);
        return rc;
    }

    ngx_intuit_point("file-renamed");

    return ngx_http_intuit_state_sync(work, dir);
}


static ngx_int_t
ngx_http_intuit_state_sync(ngx_http_intuit_state_work_t *work, int dir)
{
    if (fsync(dir) == -1) {
        return ngx_http_intuit_state_failed(work, "fsync directory");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_state_fill(ngx_http_intuit_state_work_t *work, int dir,
    const u_char *name, const ngx_str_t *sealed)
{
    int         fd;
    size_t      done;
    ssize_t     n;
    ngx_int_t   rc;

    fd = openat(dir, (const char *) name,
                O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0600);

    if (fd == -1) {
        return ngx_http_intuit_state_failed(work, "create");
    }

    rc = NGX_OK;

    for (done = 0; done < sealed->len; done += n) {

        n = write(fd, sealed->data + done, sealed->len - done);

        if (n <= 0) {
            rc = ngx_http_intuit_state_failed(work, "write");
            break;
        }
    }

    if (rc == NGX_OK && fsync(fd) == -1) {
        rc = ngx_http_intuit_state_failed(work, "fsync");
    }

    if (close(fd) == -1 && rc == NGX_OK) {
        rc = ngx_http_intuit_state_failed(work, "close");
    }

    return rc;
}


ngx_int_t
ngx_http_intuit_state_lock(ngx_http_intuit_state_work_t *work)
{
    int          dir, lock;
    u_char       name[NGX_INTUIT_STATE_NAME_SIZE];
    uint64_t     last;
    ngx_int_t    rc;
    ngx_array_t  older;

    last = 0;

    if (ngx_array_init(&older, work->pool, 4, sizeof(uint64_t)) != NGX_OK) {
        return ngx_http_intuit_state_failed(work, "memory");
    }

    dir = ngx_http_intuit_state_dir(work);
    if (dir == -1) {
        return NGX_ERROR;
    }

    ngx_intuit_state_name_of(name, &work->state, NGX_HTTP_INTUIT_STATE_LOCK);

    lock = ngx_http_intuit_state_lock_file(dir, (char *) name);

    if (lock == -1 || flock(lock, LOCK_EX|LOCK_NB) == -1) {

        rc = (lock != -1 && ngx_errno == EWOULDBLOCK)
             ? NGX_BUSY : ngx_http_intuit_state_failed(work, "lock");

        if (lock != -1) {
            (void) close(lock);
        }

        (void) close(dir);

        return rc;
    }

    work->lock = lock;

    rc = ngx_http_intuit_state_scan(work, dir, &older, &last);

    (void) close(dir);

    if (rc == NGX_OK && work->found > work->base) {
        return NGX_DECLINED;
    }

    return rc;
}


/* what cannot be written to can still be locked */

static int
ngx_http_intuit_state_lock_file(int dir, const char *name)
{
    int  fd;

    fd = openat(dir, name, O_RDWR|O_CREAT|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC,
                0600);

    if (fd == -1) {
        fd = openat(dir, name, O_RDONLY|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC);
    }

    return fd;
}


void
ngx_http_intuit_state_clean(ngx_http_intuit_state_work_t *work, int dir)
{
    int             lock;
    DIR            *list;
    struct dirent  *entry;

    /* made by the workers' user alone: root must not own it */

    lock = openat(dir, NGX_HTTP_INTUIT_STATE_WRITE,
                  O_RDONLY|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC);
    if (lock == -1) {
        return;
    }

    list = NULL;

    if (flock(lock, LOCK_EX|LOCK_NB) == 0) {
        list = ngx_http_intuit_state_list(dir);
    }

    while (list != NULL) {

        entry = readdir(list);
        if (entry == NULL) {
            break;
        }

        if (ngx_intuit_state_name_is((u_char *) entry->d_name,
                                     work->state.owner,
                                     NGX_HTTP_INTUIT_STATE_TEMP))
        {
            (void) unlinkat(dir, entry->d_name, 0);
        }
    }

    if (list != NULL) {
        (void) closedir(list);
    }

    (void) close(lock);
}
