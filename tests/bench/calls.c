/* calls.c - the least that calls of a model cost: libcurl alone, the answers thrown away.
 *
 * usage: calls URL KEY BODY-FILE CALLS AT-ONCE CA-FILE
 * Posts the file's text with the key, as many calls under way as said. Prints the milliseconds of
 * processor time that a call took. */
#include "common/base/buf.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static NORETURN void fail(const char *what)
{
    fprintf(stderr, "calls: %s\n", what);
    exit(1);
}

static void read_file(struct buf *out, const char *path)
{
    char piece[4096];
    size_t got;
    FILE *file = fopen(path, "r");

    if (!file)
        fail("no body");
    while ((got = fread(piece, 1, sizeof(piece), file)) > 0)
        buf_add(out, piece, got);
    (void)fclose(file);
}

static size_t throw_away(char *at UNUSED, size_t size, size_t count, void *arg UNUSED)
{
    return size * count;
}

static CURL *call_new(char **argv, struct curl_slist *headers, struct str body)
{
    CURL *easy = curl_easy_init();

    if (!easy)
        fail("no handle");
    curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
    curl_easy_setopt(easy, CURLOPT_CAINFO, argv[6]);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.at);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, throw_away);
    return easy;
}

static void check(CURL *easy, CURLcode code)
{
    long status = 0;

    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK || status != 200)
        fail(code != CURLE_OK ? curl_easy_strerror(code) : "an answer is not 200");
}

/* A handle that is done makes the next call, over the same connection. */
static void run(CURLM *multi, long calls, long at_once)
{
    long begun = at_once, done = 0;
    int running, left;
    CURLMsg *message;

    while (done < calls) {
        curl_multi_perform(multi, &running);
        while ((message = curl_multi_info_read(multi, &left))) {
            CURL *easy = message->easy_handle;

            check(easy, message->data.result);
            done++;
            curl_multi_remove_handle(multi, easy);
            if (begun < calls) {
                curl_multi_add_handle(multi, easy);
                begun++;
            } else {
                curl_easy_cleanup(easy);
            }
        }
        curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
}

static double spent_ms(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

int main(int argc, char **argv)
{
    CLEANUP(buf_free) struct buf body = { 0 }, key = { 0 };
    struct curl_slist *headers;

    if (argc != 7) {
        fputs("usage: calls URL KEY BODY-FILE CALLS AT-ONCE CA-FILE\n", stderr);
        return 2;
    }
    long calls = strtol(argv[4], NULL, 10), at_once = strtol(argv[5], NULL, 10);
    if (at_once > calls)
        at_once = calls;
    read_file(&body, argv[3]);
    buf_str(&key, STR("Authorization: Bearer "));
    buf_str(&key, str_from(argv[2]));
    buf_char(&key, '\0');
    curl_global_init(CURL_GLOBAL_DEFAULT);
    headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, key.at);
    CURLM *multi = curl_multi_init();
    for (long i = 0; i < at_once; i++)
        curl_multi_add_handle(multi, call_new(argv, headers, buf_view(&body)));
    run(multi, calls, at_once);
    printf("%.4f\n", spent_ms() / (double)calls);
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    return 0;
}
