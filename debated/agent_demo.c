/* agent_demo.c - agents that need no network: deterministic, and still a debate.
 *
 * A demo agent reads the question for its telling words, takes the stance of its seat, gives
 * reasons about those words, quotes what the others wrote, and gives way when a critique is
 * severe. The seed is a hash of its name and the question, so another question gives another
 * course and another winner. */
#include "common/base/clock.h"
#include "debated/agent_kind.h"
#include "debated/parse.h"

#define KEYWORDS      4
#define SEVERE        7.0 /* critiques from here on change a mind */
#define PHRASE_WORDS  12
#define FAVOUR_SPREAD 100
#define OWN_FAVOUR    35 /* how much an agent's own taste moves what all see in a proposal */

enum stance { FOR, AGAINST, CONDITIONAL, STANCES };

/* The opening of a text names its stance; a revision finds it there again. */
static const char *const closed_claims[STANCES] = {
    "my answer is yes",
    "my answer is no",
    "my answer is yes, but only under conditions",
};
static const char *const open_claims[STANCES] = {
    "I would commit to one clear option now",
    "I would hold back and keep what already works",
    "I would start small and let measurements decide",
};

struct mind {
    struct arena *arena;
    const struct prompt *prompt;
    struct str words[KEYWORDS];
    size_t word_count;
    uint64_t seed;
    enum stance stance;
    const char *const *claims;
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) || c == '-' ||
           (c >= '0' && c <= '9');
}

static bool is_common(struct str word)
{
    static const char *const common[] = {
        "should", "would", "could", "which", "what", "when",   "where", "with",  "from",  "that",
        "this",   "they",  "them",  "their", "have", "does",   "will",  "than",  "about", "into",
        "your",   "ours",  "more",  "most",  "best", "better", "there", "these", "over",  "before",
    };

    for (size_t i = 0; i < COUNT(common); i++)
        if (str_eq_nocase(word, str_from(common[i])))
            return true;
    return false;
}

static void find_keywords(struct mind *mind, struct str task)
{
    for (size_t i = 0; i < task.len && mind->word_count < KEYWORDS; i++) {
        size_t from = i;

        while (i < task.len && is_letter(task.at[i]))
            i++;
        struct str word = str_slice(task, from, i);
        if (word.len >= 4 && word.len <= 40 && !is_common(word))
            mind->words[mind->word_count++] = word;
    }
    if (!mind->word_count)
        mind->words[mind->word_count++] = STR("the matter at hand");
}

static bool asks_yes_or_no(struct str task)
{
    static const char *const openings[] = { "should", "is",    "are",  "can", "could", "do",
                                            "does",   "would", "will", "has", "have",  "may" };
    size_t end = 0;

    while (end < task.len && task.at[end] != ' ')
        end++;
    for (size_t i = 0; i < COUNT(openings); i++)
        if (str_eq_nocase(str_slice(task, 0, end), str_from(openings[i])))
            return true;
    return false;
}

static uint64_t mix(uint64_t seed, struct str salt)
{
    uint64_t x = seed ^ (str_hash(salt) * UINT64_C(0x9e3779b97f4a7c15));

    x ^= x >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ (x >> 32);
}

static enum stance stance_in(const struct mind *mind, struct str own, enum stance otherwise)
{
    size_t place;

    for (int stance = STANCES - 1; stance >= 0; stance--) /* the longest claim contains another */
        if (own.len && str_find(&place, own, str_from(mind->claims[stance])))
            return (enum stance)stance;
    return otherwise;
}

static void mind_open(struct mind *out, struct arena *arena, const struct prompt *prompt)
{
    struct mind mind = { .arena = arena, .prompt = prompt };

    mind.seed = str_hash(
        arena_printf(arena, STR_FMT "\n" STR_FMT, STR_ARG(prompt->agent), STR_ARG(prompt->task)));
    mind.claims = asks_yes_or_no(prompt->task) ? closed_claims : open_claims;
    find_keywords(&mind, prompt->task);
    enum stance first =
        (enum stance)((mix(str_hash(prompt->task), STR("seat")) + prompt->seat) % STANCES);
    mind.stance = stance_in(&mind, prompt->own, first);
    *out = mind;
}

static struct str word(const struct mind *mind, size_t n)
{
    return mind->words[n % mind->word_count];
}

/* One of the sentences that fit a stance; the word stands where the format asks. */
static struct str reason(const struct mind *mind, size_t n)
{
    static const char *const reasons[STANCES][3] = {
        { "Waiting has its own price, and for " STR_FMT " that price grows with every week.",
          "What we know about " STR_FMT " is enough to act on and to correct later.",
          "A decision on " STR_FMT " gives everyone else something firm to plan around." },
        { "Nobody has yet shown what happens to " STR_FMT " when the first assumption fails.",
          "The cost of undoing a mistake with " STR_FMT " is higher than the cost of patience.",
          "We would be trading a known state of " STR_FMT " for a hope." },
        { "With " STR_FMT ", a limited trial tells more than another argument.",
          "The risk in " STR_FMT " is acceptable once there is a way back that has been tried.",
          "For " STR_FMT " we should name the number that would make us stop." },
    };
    size_t pick = (mix(mind->seed, STR("reason")) + n) % 3;

    return arena_printf(mind->arena, reasons[mind->stance][pick], STR_ARG(word(mind, n)));
}

static struct str proposal(const struct mind *mind)
{
    static const char *const endings[] = {
        "I would review this after the first results are in.",
        "If the facts change, so should this answer.",
        "The first step is small, and it can be taken this week.",
    };

    return arena_printf(mind->arena,
                        "On \"" STR_FMT "\" %s. What matters most here is " STR_FMT ". " STR_FMT
                        " " STR_FMT " %s",
                        STR_ARG(str_trim(mind->prompt->task)), mind->claims[mind->stance],
                        STR_ARG(word(mind, mind->seed % KEYWORDS)), STR_ARG(reason(mind, 0)),
                        STR_ARG(reason(mind, 1)), endings[mix(mind->seed, STR("end")) % 3]);
}

/* A passage of the other's text: some words from the start of one of its later sentences. */
static struct str phrase(const struct mind *mind, struct str text)
{
    size_t sentences = 0, pick, from = 0, words = 0;

    for (size_t i = 0; i + 2 < text.len; i++)
        sentences += text.at[i] == '.' && text.at[i + 1] == ' ';
    pick = sentences ? 1 + mix(mind->seed, text) % sentences : 0;
    for (size_t i = 0; pick && i + 2 < text.len; i++)
        if (text.at[i] == '.' && text.at[i + 1] == ' ' && --pick == 0)
            from = i + 2;
    size_t to = from;
    while (to < text.len && text.at[to] != '.' && text.at[to] != '\n' &&
           (words += text.at[to] == ' ') < PHRASE_WORDS)
        to++;
    return str_trim(str_slice(text, from, to));
}

static struct str critique_text(const struct mind *mind)
{
    static const char *const issues[STANCES] = {
        "It treats hesitation as if it were free",
        "It takes the good outcome for granted",
        "It asks for all or nothing",
    };
    const struct said *target = &mind->prompt->target;
    struct str quote = phrase(mind, target->text);
    unsigned severity =
        3 + (unsigned)(mix(mind->seed + (uint64_t)mind->prompt->round, target->agent) % 6);

    return arena_printf(
        mind->arena,
        "Issues:\n- \"" STR_FMT "\" is claimed, not shown\n- %s, and " STR_FMT
        " is where that hurts\nSuggestions:\n- Say what would have to be true about " STR_FMT
        "\n- Name who decides, and by when\nSeverity: %u\n" STR_FMT " builds on \"" STR_FMT
        "\". " STR_FMT,
        STR_ARG(quote), issues[mind->stance], STR_ARG(word(mind, 0)), STR_ARG(word(mind, 1)),
        severity, STR_ARG(target->agent), STR_ARG(quote), STR_ARG(reason(mind, 2)));
}

static struct str revision(struct mind *mind)
{
    const struct said *received = mind->prompt->critiques.at, *worst = NULL;
    struct critique critique, hardest = { 0 };

    for (size_t i = 0; i < mind->prompt->critiques.count; i++) {
        parse_critique(&critique, received[i].text);
        if (!worst || critique.severity > hardest.severity) {
            worst = &received[i];
            hardest = critique;
        }
    }
    if (!worst)
        return proposal(mind);
    struct str point = hardest.suggestions.count ? hardest.suggestions.at[0] : STR("think again");
    if (hardest.severity < SEVERE)
        return arena_printf(mind->arena,
                            STR_FMT " I keep this after reading " STR_FMT
                                    ", but add what was asked for: \"" STR_FMT "\".",
                            STR_ARG(proposal(mind)), STR_ARG(worst->agent), STR_ARG(point));
    mind->stance = mind->stance == CONDITIONAL ? (enum stance)(mind->seed % 2) : CONDITIONAL;
    return arena_printf(mind->arena,
                        STR_FMT " I have changed my mind: " STR_FMT
                                " is right to ask me to \"" STR_FMT "\".",
                        STR_ARG(proposal(mind)), STR_ARG(worst->agent), STR_ARG(point));
}

static struct str vote_text(const struct mind *mind)
{
    const struct said *proposals = mind->prompt->proposals.at, *best = NULL;
    uint64_t question = str_hash(mind->prompt->task), favour, most = 0;

    for (size_t i = 0; i < mind->prompt->proposals.count; i++) {
        favour = 1 + mix(question, proposals[i].agent) % FAVOUR_SPREAD +
                 mix(mind->seed, proposals[i].agent) % OWN_FAVOUR;
        if (!best || favour > most) {
            best = &proposals[i];
            most = favour;
        }
    }
    if (!best)
        return STR("There is no proposal to vote for.");
    return arena_printf(mind->arena,
                        "CHOICE: " STR_FMT "\nCONFIDENCE: 0.%u\nREASONING: \"" STR_FMT
                        "\" persuades me more than the rest, because it is the answer that says "
                        "what to do about " STR_FMT ".",
                        STR_ARG(best->agent), 60 + (unsigned)(mix(mind->seed, STR("sure")) % 36),
                        STR_ARG(phrase(mind, best->text)), STR_ARG(word(mind, 0)));
}

/* How many of the question's words a proposal speaks of, and whether it took a critique up. */
static size_t merit(const struct mind *mind, struct str text)
{
    struct str task = str_trim(mind->prompt->task);
    size_t points = 0, place;

    if (str_find(&place, text, task)) /* a proposal quotes all of it */
        text = str_slice(text, place + task.len, text.len);
    for (size_t i = 0; i < mind->word_count; i++)
        points += str_find(&place, text, mind->words[i]);
    return points + str_find(&place, text, STR("what was asked for")) +
           str_find(&place, text, STR("changed my mind"));
}

static const struct said *best_proposal(const struct mind *mind)
{
    const struct said *proposals = mind->prompt->proposals.at, *best = NULL;
    uint64_t question = str_hash(mind->prompt->task);

    for (size_t i = 0; i < mind->prompt->proposals.count; i++) {
        const struct said *one = &proposals[i];

        if (!best || merit(mind, one->text) > merit(mind, best->text) ||
            (merit(mind, one->text) == merit(mind, best->text) &&
             mix(question, one->text) > mix(question, best->text)))
            best = one;
    }
    return best;
}

/* The gravest on that agent's proposal; else the gravest of all. NULL: there is none. */
static const struct said *objection_to(const struct mind *mind, struct str agent)
{
    const struct said *all = mind->prompt->critiques.at;
    struct str on = arena_printf(mind->arena, STR_FMT " by ", STR_ARG(agent));

    for (size_t i = 0; i < mind->prompt->critiques.count; i++)
        if (str_starts(all[i].agent, on))
            return &all[i];
    return mind->prompt->critiques.count ? all : NULL;
}

/* The best proposal, what another adds to it, and the gravest objection, which stays a condition.
 */
static struct str judgement(const struct mind *mind)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    const struct said *proposals = mind->prompt->proposals.at, *best = best_proposal(mind);

    if (!best)
        return STR("There is no proposal to judge.");
    buf_str(&text, best->text);
    buf_printf(&text,
               "\n\nI take this from " STR_FMT ": of all proposals it says most about " STR_FMT ".",
               STR_ARG(best->agent), STR_ARG(word(mind, 0)));
    for (size_t i = 0; i < mind->prompt->proposals.count; i++)
        if (&proposals[i] != best)
            buf_printf(&text, " " STR_FMT " adds: \"" STR_FMT "\".", STR_ARG(proposals[i].agent),
                       STR_ARG(phrase(mind, proposals[i].text)));
    const struct said *objection = objection_to(mind, best->agent);
    if (objection)
        buf_printf(&text, " Still to be answered, on " STR_FMT ":\n" STR_FMT,
                   STR_ARG(objection->agent), STR_ARG(objection->text));
    return arena_str(mind->arena, buf_view(&text));
}

static struct str synthesis(const struct mind *mind)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    const struct said *proposals = mind->prompt->proposals.at;

    buf_printf(&text,
               mind->prompt->judged
                   ? "Asked \"" STR_FMT "\", the debate was decided by " STR_FMT ": "
                   : "Asked \"" STR_FMT "\", the debate settled on " STR_FMT "'s proposal: ",
               STR_ARG(str_trim(mind->prompt->task)), STR_ARG(mind->prompt->target.agent));
    buf_str(&text, mind->prompt->target.text);
    for (size_t i = 0; i < mind->prompt->proposals.count; i++)
        if (!str_eq(proposals[i].agent, mind->prompt->target.agent))
            buf_printf(&text, "\n- " STR_FMT " leaves on record: \"" STR_FMT "\".",
                       STR_ARG(proposals[i].agent), STR_ARG(phrase(mind, proposals[i].text)));
    return arena_str(mind->arena, buf_view(&text));
}

struct str demo_answer(struct arena *arena, const struct prompt *prompt)
{
    struct mind mind;

    mind_open(&mind, arena, prompt);
    switch (prompt->kind) {
    case CALL_CRITIQUE:
        return critique_text(&mind);
    case CALL_REVISION:
        return revision(&mind);
    case CALL_VOTE:
        return vote_text(&mind);
    case CALL_JUDGE:
        return judgement(&mind);
    case CALL_SYNTHESIS:
        return synthesis(&mind);
    case CALL_PROPOSAL:
        break;
    }
    return proposal(&mind);
}

struct demo_call {
    struct agent_call call;
    struct str answer;
    size_t sent;
    int64_t pause_us, due_us;
};

static enum call_state demo_advance(struct agent_call *call, struct buf *text, int64_t now_us,
                                    int64_t *due_us)
{
    struct demo_call *demo = (struct demo_call *)call;

    while (demo->sent < demo->answer.len && demo->due_us <= now_us) {
        size_t end = demo->sent;

        while (end < demo->answer.len && demo->answer.at[end] != ' ')
            end++;
        while (end < demo->answer.len && demo->answer.at[end] == ' ')
            end++;
        buf_str(text, str_slice(demo->answer, demo->sent, end));
        demo->sent = end;
        if (demo->pause_us)
            demo->due_us = now_us + demo->pause_us;
    }
    *due_us = demo->due_us;
    return demo->sent < demo->answer.len ? CALL_RUNNING : CALL_DONE;
}

struct agent_call *demo_start(const struct agent_request *request)
{
    static const struct agent_kind kind = { .advance = demo_advance };
    struct arena *arena = arena_new();
    struct demo_call *demo = arena_alloc(arena, sizeof(*demo));

    demo->call = (struct agent_call){ .kind = &kind, .arena = arena };
    demo->answer = demo_answer(arena, request->prompt);
    demo->pause_us = request->settings->demo_pause_us;
    return &demo->call;
}
