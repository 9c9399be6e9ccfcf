/* terminal.h - texts of others, made fit to be printed. */
#ifndef ARAGORA_TERMINAL_H
#define ARAGORA_TERMINAL_H

#include "common/base/arena.h"

/* One line: white space becomes blanks, other control characters (C0, DEL, C1) are left out, so
 * that no text can command a terminal. Lives in the arena. */
struct str terminal_line(struct arena *arena, struct str text);

#endif
