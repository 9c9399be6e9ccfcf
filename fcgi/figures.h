/* figures.h - what each answer adds to the metrics. */
#ifndef ARAGORA_FCGI_FIGURES_H
#define ARAGORA_FCGI_FIGURES_H

#include "handlers/handler.h"

void figures_count(const struct request *r, int64_t took_us);

#endif
