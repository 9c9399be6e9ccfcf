/* hello.c - the floor of the benchmarks: the least that a libfcgi program can do.
 *
 * Gives every request the one answer (CGI headers and body) in the file that is its argument.
 * The listening socket is file descriptor 0. */
#include <fcgi_config.h>
#include <fcgiapp.h>
#include <stdio.h>

#define ANSWER_BYTES 65536

int main(int argc, char **argv)
{
    static char answer[ANSWER_BYTES];
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    FCGX_Request request;

    if (!file) {
        fprintf(stderr, "hello: one readable file wanted\n");
        return 1;
    }
    size_t len = fread(answer, 1, sizeof(answer), file);
    (void)fclose(file);
    if (len == sizeof(answer) || FCGX_Init() != 0 || FCGX_InitRequest(&request, 0, 0) != 0)
        return 1;
    while (FCGX_Accept_r(&request) == 0) {
        FCGX_PutStr(answer, (int)len, request.out);
        FCGX_Finish_r(&request);
    }
    return 0;
}
