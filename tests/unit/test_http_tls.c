/* test_http_tls.c - whom the HTTP client trusts, against a TLS server on loopback. */
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/http/client.h"
#include "common/http/trust.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    int listener, port;
    SSL_CTX *tls;
    struct arena *arena;
    char directory[32];
    struct str authority; /* file of the server's certificate */
} at;

/* --- The server -------------------------------------------------------------------------- */

/* Signed by itself, for 127.0.0.1. */
static X509 *certificate_new(EVP_PKEY *key)
{
    X509 *made = X509_new();
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");

    assert_int_equal(X509_set_version(made, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(made), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(made), -60));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(made), 3600));
    assert_int_equal(X509_set_pubkey(made, key), 1);
    assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                                                (const unsigned char *)"test", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(made, X509_get_subject_name(made)), 1);
    assert_int_equal(X509_add_ext(made, names, -1), 1);
    assert_true(X509_sign(made, key, EVP_sha256()) > 0);
    X509_EXTENSION_free(names);
    return made;
}

static void authority_write(X509 *certificate)
{
    BIO *pem = BIO_new(BIO_s_mem());
    char *text;

    assert_int_equal(PEM_write_bio_X509(pem, certificate), 1);
    size_t len = (size_t)BIO_get_mem_data(pem, &text);
    at.authority = arena_printf(at.arena, "%s/authority.pem", at.directory);
    assert_int_equal(file_write(at.arena, at.authority, (struct str){ text, len }, 0600), OK);
    BIO_free(pem);
}

static void *serve(void *arg UNUSED)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    char request[4096];
    int fd;

    while ((fd = accept(at.listener, NULL, NULL)) >= 0) {
        SSL *tls = SSL_new(at.tls);

        SSL_set_fd(tls, fd);
        if (SSL_accept(tls) == 1 && SSL_read(tls, request, sizeof(request)) > 0)
            (void)SSL_write(tls, answer, sizeof(answer) - 1);
        SSL_free(tls);
        close(fd);
    }
    return NULL;
}

static void listen_anywhere(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);

    at.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(at.listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(at.listener, 8), 0);
    assert_int_equal(getsockname(at.listener, (struct sockaddr *)&address, &len), 0);
    at.port = ntohs(address.sin_port);
}

static pthread_t server;

static int open_server(void **state UNUSED)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    (void)signal(SIGPIPE, SIG_IGN); /* a client that trusts nobody hangs up */
    at.arena = arena_new();
    strncpy(at.directory, "/tmp/test_http_tls.XXXXXX", sizeof(at.directory) - 1);
    assert_non_null(mkdtemp(at.directory));
    at.tls = SSL_CTX_new(TLS_server_method());
    X509 *certificate = certificate_new(key);
    assert_int_equal(SSL_CTX_use_certificate(at.tls, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(at.tls, key), 1);
    authority_write(certificate);
    X509_free(certificate);
    EVP_PKEY_free(key);
    listen_anywhere();
    return pthread_create(&server, NULL, serve, NULL);
}

static int close_server(void **state UNUSED)
{
    shutdown(at.listener, SHUT_RDWR);
    pthread_join(server, NULL);
    close(at.listener);
    SSL_CTX_free(at.tls);
    (void)unlink(arena_cstr(at.arena, at.authority));
    arena_free(at.arena);
    return rmdir(at.directory);
}

/* --- What is promised -------------------------------------------------------------------- */

/* What becomes of a call by a client with this file of authorities. */
static enum http_fault fault_with(struct str ca_file)
{
    CLEANUP(buf_free) struct buf body = { 0 };
    const struct http_config config = { .ca_file = ca_file };
    const struct http_request request = {
        .method = "GET",
        .url = arena_printf(at.arena, "https://127.0.0.1:%d/", at.port),
        .reach = HTTP_OPERATOR,
        .limits = { .total_us = 20 * US_PER_S },
    };
    struct http_client *client;

    assert_int_equal(http_client_new(&client, &config), OK);
    struct http_call *call = http_start(client, &request);
    while (http_read(call, &body) == HTTP_RUNNING) {
        http_wait(client, http_due_us(call));
        http_advance(client);
    }
    enum http_fault fault = http_fault(call);
    http_end(call);
    http_client_free(client);
    return fault;
}

static void an_authority_is_trusted_by_the_clients_that_name_it_only(void **state UNUSED)
{
    struct str missing = arena_printf(at.arena, "%s/missing.pem", at.directory);

    assert_int_equal(fault_with(STR_NONE), HTTP_BAD_CERTIFICATE);
    assert_int_equal(fault_with(at.authority), HTTP_NO_FAULT);
    assert_int_equal(fault_with(STR_NONE), HTTP_BAD_CERTIFICATE);
    assert_int_equal(fault_with(missing), HTTP_BAD_CERTIFICATE);
    assert_int_equal(fault_with(at.authority), HTTP_NO_FAULT);
}

static void authorities_are_read_once_for_all_clients(void **state UNUSED)
{
    const char *file = arena_cstr(at.arena, at.authority);
    X509_STORE *one = trust_store(file), *other = trust_store(file);

    assert_non_null(one);
    assert_ptr_equal(one, other);
    X509_STORE_free(one);
    X509_STORE_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_authority_is_trusted_by_the_clients_that_name_it_only),
        cmocka_unit_test(authorities_are_read_once_for_all_clients),
    };

    return cmocka_run_group_tests(tests, open_server, close_server);
}
