/* test_range.c - which bytes a Range header asks for. */
#include "fcgi/range.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void a_header_asks_for_one_part_or_the_whole(void **state)
{
    static const struct {
        const char *header;
        int64_t size;
        enum result result;
        struct range part;
    } cases[] = {
        { "bytes=0-9", 100, OK, { 0, 10 } },
        { "bytes=90-", 100, OK, { 90, 10 } },
        { "bytes=90-200", 100, OK, { 90, 10 } },
        { "bytes=99-99", 100, OK, { 99, 1 } },
        { "bytes=-10", 100, OK, { 90, 10 } },
        { "bytes=-200", 100, OK, { 0, 100 } },
        { "bytes=1-99999999999999999999", 100, OK, { 1, 99 } },
        { "bytes=100-", 100, ERR_RANGE, { -1, -1 } },
        { "bytes=99999999999999999999-", 100, ERR_RANGE, { -1, -1 } },
        { "bytes=-0", 100, ERR_RANGE, { -1, -1 } },
        { "bytes=0-", 0, ERR_RANGE, { -1, -1 } },
        { "bytes=-1", 0, ERR_RANGE, { -1, -1 } },
        { NULL, 100, OK, { 0, 100 } },
        { "", 100, OK, { 0, 100 } },
        { "bytes=", 100, OK, { 0, 100 } },
        { "bytes=-", 100, OK, { 0, 100 } },
        { "bytes=5", 100, OK, { 0, 100 } },
        { "bytes=9-0", 100, OK, { 0, 100 } },
        { "bytes=0-1,5-6", 100, OK, { 0, 100 } },
        { "bytes=--5", 100, OK, { 0, 100 } },
        { "bytes=+1-2", 100, OK, { 0, 100 } },
        { "bytes=a-b", 100, OK, { 0, 100 } },
        { "lines=0-9", 100, OK, { 0, 100 } },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct range part = { -1, -1 }; /* stays so in a failure */
        enum result result = range_read(&part, str_from(cases[i].header), cases[i].size);

        if (result != cases[i].result || part.first != cases[i].part.first ||
            part.count != cases[i].part.count)
            fail_msg("%s", cases[i].header);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_asks_for_one_part_or_the_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
