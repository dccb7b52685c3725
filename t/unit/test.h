/*
 * The smallest TAP producer: ok(condition, format, ...) and done_testing().
 *
 *     int
 *     main(void)
 *     {
 *         ok(1 + 1 == 2, "addition of %d and %d", 1, 1);
 *         return done_testing();
 *     }
 */

#ifndef _TEST_H_INCLUDED_
#define _TEST_H_INCLUDED_


#include <stdarg.h>
#include <stdio.h>
#include <string.h>


static unsigned  test_count;
static unsigned  test_failed;


/* Prints one result; 1 when it is good, so that a test may give up. */
#define ok(cond, ...)  test_ok((cond) ? 1 : 0, __FILE__, __LINE__, __VA_ARGS__)

/* An ngx_str_t against a C string. */
#define is_str(s, text, ...)                                                  \
    test_ok((s)->len == strlen(text)                                          \
            && memcmp((s)->data ? (void *) (s)->data : (void *) "", text,     \
                      (s)->len) == 0,                                         \
            __FILE__, __LINE__, __VA_ARGS__)


__attribute__((format(printf, 4, 5))) static inline int
test_ok(int good, const char *file, int line, const char *fmt, ...)
{
    va_list  args;

    test_count++;

    printf("%sok %u - ", good ? "" : "not ", test_count);

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);

    putchar('\n');

    if (!good) {
        test_failed++;
        printf("# failed at %s line %d\n", file, line);
    }

    /* a sanitizer's report must come after the last good line */
    fflush(stdout);

    return good;
}


/* The plan, last; the value for main() to return. */
static inline int
done_testing(void)
{
    printf("1..%u\n", test_count);

    if (test_count == 0) {
        printf("# no tests were run\n");
        return 1;
    }

    if (test_failed) {
        printf("# %u of %u failed\n", test_failed, test_count);
        return 1;
    }

    return 0;
}


#endif /* _TEST_H_INCLUDED_ */
