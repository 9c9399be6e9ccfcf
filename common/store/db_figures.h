/* db_figures.h - what the statements of SQL took, as metrics. */
#ifndef ARAGORA_DB_FIGURES_H
#define ARAGORA_DB_FIGURES_H

/* From here on every statement of this process counts; after series_use(). */
void db_figures_start(void);

#endif
