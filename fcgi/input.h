/* input.h - path, query and body into the struct that the row's INPUT names, or a 400. */
#ifndef ARAGORA_INPUT_H
#define ARAGORA_INPUT_H

#include "handlers/handler.h"

/* Sets r->input and r->given; the body is in r->body. */
MUST_USE enum result input_read(struct request *r);

#endif
