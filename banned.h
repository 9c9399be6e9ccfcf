/* banned.h - functions that have no safe use here.
 *
 * The Makefile includes it before every source file. The headers that declare the names come
 * first, since a poisoned name may not appear even in a declaration. */
#ifndef ARAGORA_BANNED_H
#define ARAGORA_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol atof

#endif
