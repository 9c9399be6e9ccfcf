#include "debated/debate_receipt.h"

#include "common/base/buf.h"
#include "common/base/id.h"
#include "debated/absent.h"

/* debates.md 23.1 */
static struct str verdict_word(const struct verdict *verdict)
{
    if (!verdict->reached)
        return STR("NEEDS_REVIEW");
    return verdict->confidence >= 0.7 ? STR("APPROVED") : STR("APPROVED_WITH_CONDITIONS");
}

static struct list participants(const struct run *run)
{
    struct receipt_participant *all = arena_array(run->scratch, run->count, sizeof(*all));

    for (size_t i = 0; i < run->count; i++)
        all[i] = (struct receipt_participant){ .agent = run->agents[i].agent,
                                               .provider = run->agents[i].provider,
                                               .model = run->agents[i].model };
    return (struct list){ all, run->count };
}

static enum result digests(struct list *out, const struct run *run)
{
    struct list texts;

    TRY(transcript_texts(&texts, run->db, run->debate.debate_id));
    struct receipt_text *all = arena_array(run->scratch, texts.count, sizeof(*all));
    for (size_t i = 0; i < texts.count; i++) {
        const struct transcript_text *text = (const struct transcript_text *)texts.at + i;

        all[i] = (struct receipt_text){ .kind = text->kind,
                                        .agent = text->agent,
                                        .round = text->round,
                                        .sha256 = receipt_text_digest(run->scratch, text->salt,
                                                                      text->text) };
    }
    *out = (struct list){ all, texts.count };
    return OK;
}

static enum receipt_stance stance_of(const struct run *run, struct str choice, size_t preferred)
{
    bool supports = preferred < run->count && str_eq(choice, run->names[preferred]);

    return !choice.at ? STANCE_ABSTAIN : supports ? STANCE_SUPPORT : STANCE_DISSENT;
}

/* Who voted for the answer supports it, who voted for another dissents. Beside a judge, who
 * supports what it gave, votes are advice on the proposals; without one that they prefer they say
 * nothing. */
static enum result votes(struct list *out, const struct run *run, size_t preferred)
{
    bool judged = run->judgement.at != NULL;
    struct list ballots;
    size_t count = 0;

    TRY(transcript_ballots(&ballots, run->db, run->debate.debate_id));
    struct receipt_vote *all = arena_array(run->scratch, ballots.count + 1, sizeof(*all));
    if (judged)
        all[count++] = (struct receipt_vote){ .agent = run->names[run->judge],
                                              .role = STR("judge"),
                                              .stance = STANCE_SUPPORT };
    for (size_t i = 0; i < ballots.count; i++) {
        const struct transcript_ballot *ballot = (const struct transcript_ballot *)ballots.at + i;

        if (judged && (preferred >= run->count || str_eq(ballot->agent, run->names[run->judge])))
            continue;
        all[count++] = (struct receipt_vote){ .agent = ballot->agent,
                                              .role = ballot->role,
                                              .stance = stance_of(run, ballot->choice, preferred),
                                              .advisory = judged,
                                              .reason = ballot->reasoning,
                                              .posted_at = ballot->created_at };
    }
    *out = (struct list){ all, count };
    return OK;
}

/* The issues in a line; without any, the reasoning. */
static struct str objection_text(struct arena *arena, const struct transcript_objection *objection)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    struct json_object *issues;

    if (json_parse(&issues, arena, objection->issues.text, &json_limits_wide, NULL) != OK ||
        !json_object_is_type(issues, json_type_array) || !json_object_array_length(issues))
        return objection->reasoning.at ? objection->reasoning : STR("");
    for (size_t i = 0; i < json_object_array_length(issues); i++) {
        buf_str(&text, i ? STR("; ") : STR(""));
        buf_str(&text, json_str(json_object_array_get_idx(issues, i)));
    }
    return arena_str(arena, buf_view(&text));
}

/* Those of the last round against the answer, or the proposal that the votes prefer to it. */
static enum result critiques(struct list *out, const struct run *run, size_t preferred)
{
    struct list objections;

    *out = (struct list){ 0 };
    if (preferred >= run->count)
        return OK;
    TRY(transcript_objections(&objections, run->db, run->debate.debate_id, run->rounds_done,
                              run->names[preferred]));
    struct receipt_critique *all = arena_array(run->scratch, objections.count, sizeof(*all));
    for (size_t i = 0; i < objections.count; i++) {
        const struct transcript_objection *one =
            (const struct transcript_objection *)objections.at + i;

        all[i] = (struct receipt_critique){ one->agent, objection_text(run->scratch, one),
                                            one->severity };
    }
    *out = (struct list){ all, objections.count };
    return OK;
}

/* The words of a failure may quote what an agent said: they stay out of what is signed. */
static struct list absent(const struct run *run, const struct list *absences)
{
    const struct absence *all = absences->at;
    struct receipt_absence *out = arena_array(run->scratch, absences->count, sizeof(*out));

    for (size_t i = 0; i < absences->count; i++)
        out[i] = (struct receipt_absence){ all[i].agent, all[i].phase, all[i].error_type };
    return (struct list){ out, absences->count };
}

static struct str salt_new(const struct run *run)
{
    return id_random(run->scratch, "", 2 * (size_t)RECEIPT_SALT_BYTES);
}

enum result debate_receipt(struct receipt_row *out, struct run *run,
                           const struct decision *decision)
{
    struct receipt_facts facts = {
        .receipt_id = id_new(run->scratch, "rcpt_"),
        .debate_id = run->debate.debate_id,
        .task = run->debate.task,
        .task_salt = salt_new(run),
        .final_answer = decision->answer,
        .answer_salt = salt_new(run),
        .verdict = verdict_word(&run->verdict),
        .confidence = run->verdict.confidence,
        .consensus = { .reached = run->verdict.reached,
                       .method = decision->method,
                       .strength = str_from(run->verdict.strength),
                       .judge = run->judgement.at ? run->names[run->judge] : STR_NONE },
        .participants = participants(run),
        .absent = absent(run, &decision->absent),
        .is_demo = run->debate.is_demo,
        .reasoning = run->synthesis,
    };

    TRY(digests(&facts.texts, run));
    TRY(votes(&facts.votes, run, decision->preferred));
    TRY(critiques(&facts.critiques, run, decision->preferred));
    TRY(receipt_append(out, run->db, &facts, run->options.signers));
    return transcript_receipt(run->db,
                              &(struct transcript_receipt){ .debate_id = facts.debate_id,
                                                            .receipt_id = facts.receipt_id,
                                                            .task_salt = facts.task_salt,
                                                            .answer_salt = facts.answer_salt });
}
