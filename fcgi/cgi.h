/* cgi.h - a worker as a CGI program: one request, then it ends (RFC 3875). */
#ifndef ARAGORA_CGI_H
#define ARAGORA_CGI_H

#include "fcgi/pipeline.h"

/* Does the environment hold a request? */
bool cgi_called(void);
/* Answers it on standard output. Never fails: a client that left has still asked. */
void cgi_answer(struct worker *worker);

#endif
