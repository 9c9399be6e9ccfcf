/* openapi.h - the OpenAPI 3.1 document, written from the route rows; its forms are declared
 * in handlers/handler.h, since routes serve them. */
#ifndef ARAGORA_OPENAPI_H
#define ARAGORA_OPENAPI_H

#include "common/base/buf.h"
#include "handlers/handler.h"

/* From other tables than the program's own; ends with NULL. */
void openapi_write_tables(struct buf *out, const struct route *const *tables,
                          enum openapi_part part);

#endif
