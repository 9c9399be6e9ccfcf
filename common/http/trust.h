/* trust.h - the authorities that TLS connections trust, parsed once for the whole process.
 *
 * curl would parse the system's bundle again for every connection, and keep it as long: some 20 ms
 * of processor time and 0.8 MB each. */
#ifndef ARAGORA_HTTP_TRUST_H
#define ARAGORA_HTTP_TRUST_H

#include <openssl/x509.h>

/* The system's authorities and those of the file (NULL: none); files that changed are read again
 * after a day. Shared by all threads; the caller's, for X509_STORE_free(). NULL: the file cannot
 * be read. */
X509_STORE *trust_store(const char *ca_file);

#endif
