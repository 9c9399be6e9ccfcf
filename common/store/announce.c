#include "common/store/announce.h"

#include "common/bus/bus.h"
#include "common/store/job.h"

static struct bus *bus;

static void tell_event(void *arg, struct str org_id, const struct event *event)
{
    CLEANUP(buf_free) struct buf head = { 0 }, frame = { 0 };

    (void)arg;
    buf_printf(&head,
               STR_FMT "\n" STR_FMT "\n" STR_FMT "\n" STR_FMT "\n" STR_FMT "\n%lld\n%lld\n%lld",
               STR_ARG(org_id), STR_ARG(event->loop_id), STR_ARG(event->type),
               STR_ARG(event->agent), STR_ARG(event->task_id), (long long)event->seq,
               (long long)event->agent_seq, (long long)event->attempt);
    event_encode(&frame, event);
    bus_publish(bus, BUS_STREAM, buf_view(&head), buf_view(&frame));
}

static void tell_job(void *arg)
{
    (void)arg;
    bus_publish(bus, BUS_JOBS, STR("due"), STR(""));
}

enum result announce_open(const char *data_directory)
{
    TRY(bus_connect(&bus, data_directory));
    event_listen(tell_event, NULL);
    job_listen(tell_job, NULL);
    return OK;
}

void announce_close(void)
{
    event_listen(NULL, NULL);
    job_listen(NULL, NULL);
    bus_close(bus);
    bus = NULL;
}

bool announced_read(struct announced *out, struct str head)
{
    struct announced read;
    struct str seq, agent_seq, attempt;

    if (!str_split(&read.org_id, &head, '\n') || !str_split(&read.loop_id, &head, '\n') ||
        !str_split(&read.type, &head, '\n') || !str_split(&read.agent, &head, '\n') ||
        !str_split(&read.task_id, &head, '\n') || !str_split(&seq, &head, '\n') ||
        !str_split(&agent_seq, &head, '\n') || !str_split(&attempt, &head, '\n') || head.at)
        return false;
    if (!str_int(&read.seq, seq, 0, INT64_MAX) ||
        !str_int(&read.agent_seq, agent_seq, 0, INT64_MAX) ||
        !str_int(&read.attempt, attempt, 0, INT64_MAX))
        return false;
    *out = read;
    return true;
}
