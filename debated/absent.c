#include "debated/absent.h"

#include "common/base/json.h"

const struct field absence_fields[] = {
    { FIELD(struct absence, agent) },   { FIELD(struct absence, provider) },
    { FIELD(struct absence, phase) },   { FIELD(struct absence, error_type) },
    { FIELD(struct absence, message) }, { 0 },
};

static struct json_text failures_json(struct arena *arena, const struct list *failures)
{
    const struct transcript_failures *all = failures->at;
    CLEANUP(buf_free) struct buf json = { 0 };

    buf_char(&json, '{');
    for (size_t i = 0; i < failures->count; i++) {
        buf_json_key(&json, all[i].agent);
        buf_str(&json, all[i].list.text);
    }
    buf_char(&json, '}');
    return (struct json_text){ arena_str(arena, buf_view(&json)) };
}

/* What went wrong last; without anything, the debate ended before the agent had answered. */
static void read_last(struct absence *out, struct arena *arena, const struct list *failures)
{
    const struct transcript_failures *all = failures->at;
    struct json_object *list, *last;

    out->phase = STR("proposal");
    out->error_type = STR("timeout");
    out->message = STR("The time limit was reached before it answered");
    for (size_t i = 0; i < failures->count; i++) {
        if (!str_eq(all[i].agent, out->agent) ||
            json_parse(&list, arena, all[i].list.text, &json_limits_wide, NULL) != OK ||
            !json_object_array_length(list))
            continue;
        last = json_object_array_get_idx(list, json_object_array_length(list) - 1);
        (void)json_get_str(&out->phase, last, "phase");
        (void)json_get_str(&out->error_type, last, "error_type");
        (void)json_get_str(&out->message, last, "message");
    }
}

enum result absences_find(struct absences *out, struct run *run)
{
    struct absence *absent = arena_array(run->scratch, run->count, sizeof(*absent));
    struct list failures;
    size_t count = 0;

    TRY(transcript_failures(&failures, run->db, run->debate.debate_id));
    for (size_t i = 0; i < run->count; i++) {
        if (!run->absent[i])
            continue;
        absent[count] =
            (struct absence){ .agent = run->names[i], .provider = run->agents[i].provider };
        read_last(&absent[count++], run->scratch, &failures);
    }
    *out = (struct absences){ { absent, count }, failures_json(run->scratch, &failures) };
    return OK;
}
