#include "debated/parse.h"

#include <strings.h>

#define REASONING_MAX     500
#define SEVERITY_UNSAID   5.0
#define CONFIDENCE_UNSAID 0.5

static bool has_word(struct str s, const char *word)
{
    size_t len = strlen(word);

    for (size_t i = 0; i + len <= s.len; i++)
        if (strncasecmp(s.at + i, word, len) == 0)
            return true;
    return false;
}

static bool takes_label(struct str *rest, struct str line, const char *label)
{
    size_t len = strlen(label);

    if (line.len < len || strncasecmp(line.at, label, len) != 0)
        return false;
    *rest = str_trim(str_slice(line, len, line.len));
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "-", "*", a bullet, or "1." and "1)". */
static bool takes_bullet(struct str *rest, struct str line)
{
    size_t digits = 0;

    if (line.len && (line.at[0] == '-' || line.at[0] == '*')) {
        *rest = str_trim(str_slice(line, 1, line.len));
        return rest->len > 0;
    }
    if (str_starts(line, STR("\xe2\x80\xa2"))) {
        *rest = str_trim(str_slice(line, 3, line.len));
        return rest->len > 0;
    }
    while (digits < line.len && is_digit(line.at[digits]))
        digits++;
    if (!digits || digits == line.len || (line.at[digits] != '.' && line.at[digits] != ')'))
        return false;
    *rest = str_trim(str_slice(line, digits + 1, line.len));
    return rest->len > 0 && !is_digit(rest->at[0]);
}

static bool first_number(double *out, struct str s)
{
    size_t from = 0, to;

    while (from < s.len && !is_digit(s.at[from]))
        from++;
    for (to = from; to < s.len && (is_digit(s.at[to]) || s.at[to] == '.'); to++)
        ;
    while (to > from && s.at[to - 1] == '.')
        to--;
    return to > from && str_double(out, str_slice(s, from, to));
}

static double clamp(double value, double min, double max)
{
    return value < min ? min : value > max ? max : value;
}

static void add_point(struct points *points, struct str point)
{
    if (points->count < POINTS_MAX)
        points->at[points->count++] = point;
}

static bool next_sentence(struct str *sentence, struct str *rest)
{
    size_t end = 0;

    *rest = str_trim(*rest);
    if (!rest->len)
        return false;
    while (end < rest->len && !strchr(".!?\n", rest->at[end]))
        end++;
    while (end < rest->len && strchr(".!?\n", rest->at[end]))
        end++;
    *sentence = str_trim(str_slice(*rest, 0, end));
    *rest = str_slice(*rest, end, rest->len);
    return true;
}

/* Without any bullet the first half of the sentences counts as issues. */
static void split_sentences(struct critique *out, struct str text)
{
    struct str sentence, rest = text;
    size_t total = 0, i = 0;

    while (next_sentence(&sentence, &rest))
        total++;
    rest = text;
    while (next_sentence(&sentence, &rest))
        add_point(2 * i++ < total ? &out->issues : &out->suggestions, sentence);
}

void parse_critique(struct critique *out, struct str text)
{
    struct critique critique = { .severity = SEVERITY_UNSAID, .reasoning = str_trim(text) };
    struct points *open = &critique.issues;
    struct str line, rest = text, point;
    size_t bullets = 0;

    while (str_split(&line, &rest, '\n')) {
        line = str_trim(line);
        if (has_word(line, "severity")) {
            double value;
            if (first_number(&value, line))
                critique.severity = clamp(value <= 1 ? value * 10 : value, 0, 10);
            critique.reasoning = str_trim(rest);
        } else if (takes_bullet(&point, line)) {
            add_point(open, point);
            bullets++;
        } else if (has_word(line, "suggest") || has_word(line, "recommend") ||
                   has_word(line, "improvement")) {
            open = &critique.suggestions;
        } else if (has_word(line, "issue") || has_word(line, "problem") ||
                   has_word(line, "concern")) {
            open = &critique.issues;
        }
    }
    if (!str_trim(text).len)
        add_point(&critique.issues, STR("Agent response was empty"));
    else if (!bullets)
        split_sentences(&critique, text);
    (void)takes_label(&critique.reasoning, critique.reasoning, "reasoning:");
    critique.reasoning = str_cut(critique.reasoning, REASONING_MAX);
    *out = critique;
}

static double read_confidence(struct str text)
{
    double value;

    if (!first_number(&value, text))
        return CONFIDENCE_UNSAID;
    return clamp(value > 1 && value <= 100 ? value / 100 : value, 0, 1);
}

void parse_vote(struct vote *out, struct str text)
{
    struct vote vote = { .confidence = CONFIDENCE_UNSAID };
    struct str line, value, rest = text;

    while (str_split(&line, &rest, '\n')) {
        line = str_trim(line);
        if (takes_label(&value, line, "choice:")) {
            vote.choice = value.len ? value : STR_NONE;
        } else if (takes_label(&value, line, "confidence:")) {
            vote.confidence = read_confidence(value);
        } else if (takes_label(&value, line, "reasoning:")) {
            size_t from = (size_t)(value.at - text.at);
            vote.reasoning = str_trim(str_slice(text, from, text.len));
            break;
        }
    }
    *out = vote;
}

static struct str base_name(struct str name)
{
    size_t dash;

    return str_find(&dash, name, STR("-")) && dash ? str_slice(name, 0, dash) : name;
}

static bool prefixes(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;

    return len && strncasecmp(a.at, b.at, len) == 0;
}

static bool means(int strictness, struct str choice, struct str name)
{
    switch (strictness) {
    case 0:
        return str_eq(choice, name);
    case 1:
        return str_eq_nocase(choice, name);
    case 2:
        return prefixes(choice, name);
    default:
        return str_eq_nocase(base_name(choice), base_name(name));
    }
}

bool parse_choice(size_t *out, const struct vote *vote, struct str text, const struct str *names,
                  size_t count)
{
    size_t best = SIZE_MAX, place;

    for (int strictness = 0; vote->choice.at && strictness < 4; strictness++)
        for (size_t i = 0; i < count; i++)
            if (means(strictness, vote->choice, names[i])) {
                *out = i;
                return true;
            }
    if (vote->choice.at)
        return false;
    for (size_t i = 0; i < count; i++)
        if (str_find(&place, text, names[i]) && place < best) {
            best = place;
            *out = i;
        }
    return best != SIZE_MAX;
}
