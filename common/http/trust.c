#include "common/http/trust.h"

#include "common/base/base.h"
#include "common/base/clock.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>

#define KEPT_US (86400 * US_PER_S) /* a day */

static struct {
    pthread_mutex_t lock;
    X509_STORE *store; /* NULL: none was made yet */
    char *ca_file;
    int64_t made_us;
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Where curl was built to look for the system's. One of the two is enough; without any, no
 * certificate is trusted. */
static void add_system(X509_STORE *store)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);

    if (curl->cainfo)
        (void)X509_STORE_load_file(store, curl->cainfo);
    if (curl->capath)
        (void)X509_STORE_load_path(store, curl->capath);
}

static X509_STORE *make(const char *ca_file)
{
    X509_STORE *store = X509_STORE_new();

    if (!store)
        abort();
    add_system(store);
    if (ca_file && X509_STORE_load_file(store, ca_file) != 1) {
        X509_STORE_free(store);
        return NULL;
    }
    /* As curl sets them: an intermediate authority may be trusted by itself. */
    (void)X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    return store;
}

static bool is_fit(const char *ca_file)
{
    bool same =
        ca_file && kept.ca_file ? strcmp(ca_file, kept.ca_file) == 0 : !ca_file && !kept.ca_file;

    return kept.store && same && monotonic_us() - kept.made_us < KEPT_US;
}

static void replace(const char *ca_file)
{
    X509_STORE_free(kept.store);
    free(kept.ca_file);
    kept.ca_file = ca_file ? strdup(ca_file) : NULL;
    if (ca_file && !kept.ca_file)
        abort();
    kept.made_us = monotonic_us();
    kept.store = make(ca_file);
}

X509_STORE *trust_store(const char *ca_file)
{
    X509_STORE *store;

    pthread_mutex_lock(&kept.lock);
    if (!is_fit(ca_file))
        replace(ca_file);
    store = kept.store;
    if (store)
        (void)X509_STORE_up_ref(store);
    pthread_mutex_unlock(&kept.lock);
    return store;
}
