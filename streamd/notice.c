#include "streamd/notice.h"

#include "common/base/clock.h"
#include "streamd/server.h"

void notice_begin(struct buf *out, const char *type)
{
    buf_printf(out, "{\"type\":\"%s\",\"data\":{", type);
}

void notice_send(struct client *client, struct buf *out, struct str loop_id)
{
    buf_str(out, STR("},\"timestamp\":"));
    buf_json_epoch(out, utc_now());
    if (loop_id.at) {
        buf_json_key(out, STR("debate_id"));
        buf_json_str(out, loop_id);
        buf_json_key(out, STR("loop_id"));
        buf_json_str(out, loop_id);
    }
    buf_char(out, '}');
    client_send_text(client, buf_view(out));
}

void notice_str(struct buf *out, const char *key, struct str value)
{
    buf_json_key(out, str_from(key));
    buf_json_str(out, value);
}

void notice_int(struct buf *out, const char *key, int64_t value)
{
    buf_json_key(out, str_from(key));
    buf_json_int(out, value);
}

void notice_bool(struct buf *out, const char *key, bool value)
{
    buf_json_key(out, str_from(key));
    buf_str(out, value ? STR("true") : STR("false"));
}

void notice_now(struct buf *out, const char *key)
{
    buf_json_key(out, str_from(key));
    buf_json_epoch(out, utc_now());
}

void notice_cursor(struct buf *out, const struct client *client, int64_t seq)
{
    buf_json_key(out, STR("cursor"));
    buf_printf(out, "\"" STR_FMT ":%lld\"", STR_ARG(client->server->config->epoch), (long long)seq);
}

void notice_problem(struct client *client, const struct problem *problem)
{
    CLEANUP(buf_free) struct buf out = { 0 };

    notice_begin(&out, "error");
    notice_str(&out, "message", str_from(problem->message));
    if (problem->type) {
        notice_str(&out, "error_category", STR("validation"));
        notice_str(&out, "error_type", str_from(problem->type));
    }
    if (problem->code)
        notice_int(&out, "code", problem->code);
    if (problem->text_code)
        notice_str(&out, "code", str_from(problem->text_code));
    notice_send(client, &out, STR_NONE);
}
