/* sql_span.h - a statement as part of what its thread is at; see common/trace/span.h. */
#ifndef ARAGORA_DB_SQL_SPAN_H
#define ARAGORA_DB_SQL_SPAN_H

#include "common/db/db.h"
#include "common/trace/span.h"

/* Named by the statement's verb and table; what is bound to it is not told. */
void sql_span_begin(struct span *span, enum db_backend backend, const char *sql);
/* Returns the result. */
enum result sql_span_end(struct span *span, enum result result);

#endif
