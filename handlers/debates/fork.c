/* fork.c - fork a debate, list its forks (domain debates, 4).
 *
 * A fork is a queued debate whose first steps are there already; the job daemon goes on from
 * them. */
#include "handlers/debates/agents.h"
#include "handlers/debates/status.h"

#include "common/base/settings.h"
#include "common/store/debate.h"
#include "common/store/fork.h"
#include "common/store/transcript.h"

#include <stdlib.h>

/* --- Fork -------------------------------------------------------------------------------- */

struct fork_in {
    struct str id, modified_context, step;
    int64_t branch_point, rounds;
};

static const struct field fork_in[] = {
    { FIELD(struct fork_in, id), .pattern = PATTERN_SLUG, .doc = "Id of the debate" },
    { FIELD(struct fork_in, branch_point), .max = 1000000,
      .doc = "Messages to take over; the fork runs from there on" },
    { FIELD(struct fork_in, step), .min = 1, .max = 300, .example = "1/start",
      .doc = "Instead of branch_point: the first step that runs live, of any kind" },
    { FIELD(struct fork_in, modified_context), .max = 5000, .alias = "new_premise",
      .doc = "What the agents are told besides, from there on" },
    { FIELD(struct fork_in, rounds), .min = 1, .max = 20,
      .doc = "Rounds of the fork, cut to the server's limit; else as many as before" },
    { 0 },
};

struct forked {
    bool success;
    struct fork fork;
    struct str status, message;
};

static const struct field forked_out[] = {
    { FIELD(struct forked, success), .doc = "true" },
    { FIELD_AS("fork_id", struct forked, fork.fork_id), .doc = "Id of the fork, a debate" },
    { FIELD_AS("branch_id", struct forked, fork.fork_id), .doc = "The same" },
    { FIELD_AS("debate_id", struct forked, fork.fork_id), .doc = "The same" },
    { FIELD_AS("parent_id", struct forked, fork.parent_id), .doc = "The debate forked" },
    { FIELD_AS("parent_debate_id", struct forked, fork.parent_id), .doc = "The same" },
    { FIELD_AS("branch_point", struct forked, fork.branch_point), .doc = "Messages taken over" },
    { FIELD_AS("messages_inherited", struct forked, fork.branch_point), .doc = "The same" },
    { FIELD_AS("step", struct forked, fork.step),
      .doc = "First step that runs live; absent if all were taken over" },
    { FIELD_AS("modified_context", struct forked, fork.premise), .doc = "As accepted" },
    { FIELD(struct forked, status), .doc = "created" },
    { FIELD(struct forked, message), .doc = "For people" },
    { 0 },
};

/* {"steps": [...]} */
static struct json_text steps_json(struct request *r, struct list steps)
{
    CLEANUP(buf_free) struct buf json = { 0 };

    buf_str(&json, STR("{\"steps\":["));
    for (size_t i = 0; i < steps.count; i++) {
        buf_json_comma(&json);
        buf_json_str(&json, ((const struct debate_step *)steps.at)[i].step);
    }
    buf_str(&json, STR("]}"));
    return (struct json_text){ arena_str(r->arena, buf_view(&json)) };
}

static enum result no_such_step(struct request *r, const struct fork_in *in)
{
    struct list steps;

    TRY(debate_steps(&steps, r->db, in->id));
    return refuse(r, ERR_VALIDATION, .field = STR("step"),
                  .message = STR("The debate has no such step; details lists those that it has"),
                  .details = steps_json(r, steps));
}

static enum result too_few_messages(struct request *r, const struct fork_in *in)
{
    struct list none;
    int64_t total;

    TRY(debate_messages(&none, &total, r->db, in->id, 0, 0));
    return refuse(r, ERR_VALIDATION, .field = STR("branch_point"),
                  .message =
                      arena_printf(r->arena, "The debate has %lld messages", (long long)total));
}

/* What it answers is stored with the fork. */
static enum result fork_post(struct request *r)
{
    const struct fork_in *in = r->input;
    const struct fork_draft draft = { .parent_id = in->id,
                                      .user_id = r->who.user_id,
                                      .trace_id = r->trace_id,
                                      .traceparent = traceparent(r),
                                      .step = in->step.len ? in->step : STR_NONE,
                                      .branch_point = in->branch_point,
                                      .premise = in->modified_context,
                                      .rounds = in->rounds > setting_int(SETTING_MAX_ROUNDS)
                                                    ? setting_int(SETTING_MAX_ROUNDS)
                                                    : in->rounds };
    struct forked out = { .success = true,
                          .status = STR("created"),
                          .message = STR("The fork waits for its turn") };
    CLEANUP(tx_end) struct tx tx = { 0 };
    struct debate parent;
    struct list agents;

    if (!draft.step.at && in->branch_point == INT_NONE)
        return refuse(r, ERR_MISSING_FIELD, .field = STR("branch_point"),
                      .message = STR("Missing required field: branch_point"));
    TRY(debate_find(&parent, r->db, in->id));
    TRY(transcript_agents(&agents, r->db, in->id));
    TRY(agents_ready(r, agents));
    TRY(tx_begin(&tx, r->db));
    enum result result = debate_fork(&out.fork, r->db, &draft, setting_int(SETTING_MAX_QUEUED));
    if (result == ERR_NOT_FOUND)
        return no_such_step(r, in);
    if (result == ERR_RANGE)
        return too_few_messages(r, in);
    if (result == ERR_INVALID_VALUE)
        return refuse(r, ERR_VALIDATION, .field = STR("rounds"),
                      .message = STR("The rounds end before the fork begins"));
    TRY(result);
    if (parent.is_demo)
        reply_header(r, "X-Aragora-Demo", STR("1"));
    return reply_commit(r, &tx, reply(r, &out));
}

/* --- List -------------------------------------------------------------------------------- */

struct forks_in {
    struct str id;
};

static const struct field forks_in[] = {
    { FIELD(struct forks_in, id), .pattern = PATTERN_SLUG, .doc = "Id of the debate" },
    { 0 },
};

static const struct field fork_out[] = {
    { FIELD_AS("branch_id", struct fork, fork_id), .doc = "Id of the fork, a debate" },
    { FIELD(struct fork, fork_id), .doc = "The same" },
    { FIELD_AS("parent_debate_id", struct fork, parent_id), .doc = "The debate forked" },
    { FIELD(struct fork, branch_point), .doc = "Messages taken over" },
    { FIELD_AS("messages_inherited", struct fork, branch_point), .doc = "The same" },
    { FIELD(struct fork, step), .doc = "First step that ran live" },
    { FIELD_AS("modified_context", struct fork, premise), .doc = "What its agents were told" },
    { FIELD(struct fork, status), .doc = "As of a debate" },
    { FIELD(struct fork, created_at), .doc = "When it was made" },
    { 0 },
};

struct forks_out {
    struct str debate_id;
    struct list forks;
    struct json_text tree;
    int64_t total;
};

static const struct field forks_out[] = {
    { FIELD(struct forks_out, debate_id), .doc = "Id of the debate" },
    { FIELD_LIST(struct forks_out, forks, struct fork, fork_out),
      .doc = "Its forks and theirs, oldest first" },
    { FIELD(struct forks_out, tree), .kind = JSON_OBJECT,
      .doc = "The same as a tree: id, type, children; at the root total_nodes and max_depth" },
    { FIELD(struct forks_out, total), .doc = "Forks" },
    { 0 },
};

struct node {
    const struct fork *fork;                   /* NULL: the root */
    struct node *parent, *child, *last, *next; /* last: of the children */
};

static int node_compare(const void *left, const void *right)
{
    struct str a = (*(struct node *const *)left)->fork->fork_id;
    struct str b = (*(struct node *const *)right)->fork->fork_id;
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Ties each fork to its parent; parents are found in a sorted list. */
static struct node *grow(struct request *r, struct list forks)
{
    struct node *nodes = arena_array(r->arena, forks.count + 1, sizeof(*nodes)), *root = nodes;
    struct node **sorted = arena_array(r->arena, forks.count + 1, sizeof(struct node *));

    for (size_t i = 0; i < forks.count; i++) {
        nodes[i + 1].fork = (const struct fork *)forks.at + i;
        sorted[i] = &nodes[i + 1];
    }
    if (forks.count)
        qsort(sorted, forks.count, sizeof(struct node *), node_compare);
    for (size_t i = 1; i <= forks.count; i++) {
        const struct fork key = { .fork_id = nodes[i].fork->under };
        struct node wanted = { .fork = &key }, *wanted_at = &wanted;
        struct node **found =
            bsearch(&wanted_at, sorted, forks.count, sizeof(struct node *), node_compare);
        struct node *parent = found ? *found : root;

        nodes[i].parent = parent;
        if (parent->last)
            parent->last->next = &nodes[i];
        else
            parent->child = &nodes[i];
        parent->last = &nodes[i];
    }
    return root;
}

static void open_node(struct buf *out, const struct node *node, struct str root_id)
{
    buf_json_comma(out);
    buf_char(out, '{');
    buf_json_key(out, STR("id"));
    buf_json_str(out, node->fork ? node->fork->fork_id : root_id);
    buf_json_key(out, STR("type"));
    buf_json_str(out, node->fork ? STR("fork") : STR("root"));
    if (node->fork) {
        buf_char(out, ',');
        fields_write_members(out, node->fork, fork_out);
    }
    buf_json_key(out, STR("children"));
    buf_char(out, '[');
}

/* Forks may be as deep as there are: no recursion. */
static struct json_text tree_json(struct request *r, struct str root_id, struct list forks)
{
    CLEANUP(buf_free) struct buf json = { 0 };
    const struct node *node = grow(r, forks);
    int64_t depth = 0, deepest = 0;

    open_node(&json, node, root_id);
    while (node) {
        const struct node *next = node->child;

        if (next) {
            deepest = ++depth > deepest ? depth : deepest;
        } else {
            for (; node->parent && !node->next; node = node->parent, depth--)
                buf_str(&json, STR("]}"));
            next = node->next;
            if (next)
                buf_str(&json, STR("]}"));
        }
        if (next)
            open_node(&json, next, root_id);
        node = next;
    }
    buf_char(&json, ']');
    buf_json_key(&json, STR("total_nodes"));
    buf_json_int(&json, (int64_t)forks.count + 1);
    buf_json_key(&json, STR("max_depth"));
    buf_json_int(&json, deepest);
    buf_char(&json, '}');
    return (struct json_text){ arena_str(r->arena, buf_view(&json)) };
}

static enum result forks_get(struct request *r)
{
    const struct forks_in *in = r->input;
    struct forks_out out = { .debate_id = in->id };
    struct debate debate;

    TRY(debate_find(&debate, r->db, in->id));
    TRY(debate_forks(&out.forks, r->db, in->id));
    for (size_t i = 0; i < out.forks.count; i++) {
        struct fork *fork = (struct fork *)out.forks.at + i;

        fork->status = debate_status_word(fork->status);
    }
    out.tree = tree_json(r, in->id, out.forks);
    out.total = (int64_t)out.forks.count;
    return reply(r, &out);
}

const struct route fork_routes[] = {
    { ROUTE(POST, "/api/v1/debates/{id}/fork", fork_post), .stability = STABLE,
      .permission = "debates.fork", .limit = LIMIT_CREATE, .body_bytes = 50000, .status = 201,
      INPUT(struct fork_in, fork_in), .reply = forked_out,
      ERRORS(ERR_DEBATE_NOT_FOUND, ERR_PROVIDER_NOT_CONFIGURED, ERR_CAPACITY), .tag = "Debates",
      .doc = "A new debate that takes over what this one said before a step" },
    { ROUTE(GET, "/api/v1/debates/{id}/forks", forks_get), .permission = "debates.read",
      INPUT(struct forks_in, forks_in), .reply = forks_out, ERRORS(ERR_DEBATE_NOT_FOUND),
      .tag = "Debates", .doc = "Forks of a debate and of its forks" },
    { 0 },
};
