/* postgres_server.h - a PostgreSQL of the tests' own, in a temporary directory. */
#ifndef ARAGORA_POSTGRES_SERVER_H
#define ARAGORA_POSTGRES_SERVER_H

/* Its connection string; NULL with the reason on standard error. As root it runs under the
 * account nobody, since PostgreSQL refuses root. */
const char *postgres_server_start(void);
/* Ends it and removes its files. */
void postgres_server_stop(void);

#endif
