/* deadline.c - until when a request may run; a route may shorten or lengthen it. */
#include "common/base/settings.h"
#include "fcgi/pipeline.h"

enum result stage_deadline(struct request *r)
{
    enum setting setting =
        setting_given(SETTING_REQUEST_TIMEOUT) ? SETTING_REQUEST_TIMEOUT : SETTING_API_TIMEOUT;

    r->deadline_us = r->received_us + setting_int(setting) * US_PER_S;
    return OK;
}
