/* consensus.c - from the agents' ballots to a verdict, for the rules that count votes. All
 * ballots weigh the same as long as nobody has a record. */
#include "debated/consensus.h"

struct support {
    size_t count;
    double confidence; /* summed */
};

static struct support support_of(size_t choice, const struct ballot *ballots, size_t count)
{
    struct support support = { 0 };

    for (size_t i = 0; i < count; i++)
        if (ballots[i].choice == choice) {
            support.count++;
            support.confidence += ballots[i].confidence;
        }
    return support;
}

static int order_of(struct str a, struct str b)
{
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);

    return order ? order : a.len < b.len ? -1 : a.len > b.len;
}

/* More votes, then the higher mean confidence, then the name. Equal counts compare by sum. */
static bool beats(struct support a, struct str a_name, struct support b, struct str b_name)
{
    if (a.count != b.count)
        return a.count > b.count;
    if (a.confidence > b.confidence + 1e-9 || b.confidence > a.confidence + 1e-9)
        return a.confidence > b.confidence;
    return order_of(a_name, b_name) < 0;
}

static const char *strength_of(double share)
{
    return share >= 1          ? "unanimous"
           : share >= 0.8      ? "strong"
           : share >= MAJORITY ? "medium"
                               : "weak";
}

static size_t quorum_of(size_t agents)
{
    size_t half = (agents + 1) / 2, quorum = half > 2 ? half : 2;

    return quorum < agents ? quorum : agents;
}

static double threshold_of(struct str mode)
{
    if (str_is(mode, "unanimous"))
        return 1;
    if (str_is(mode, "any"))
        return 0;
    return str_is(mode, "supermajority") ? SUPERMAJORITY : MAJORITY;
}

void consensus_decide(struct verdict *out, struct str mode, const struct ballot *ballots,
                      const struct str *names, size_t count)
{
    size_t winner = 0, valid = count - support_of(ABSTAINED, ballots, count).count;

    if (!count || valid < quorum_of(count)) {
        *out = (struct verdict){ .winner = ABSTAINED,
                                 .strength = "none",
                                 .status = "insufficient_participation" };
        return;
    }
    for (size_t i = 1; i < count; i++)
        if (beats(support_of(i, ballots, count), names[i], support_of(winner, ballots, count),
                  names[winner]))
            winner = i;
    double share = (double)support_of(winner, ballots, count).count / (double)valid;
    bool unanimous = str_is(mode, "unanimous");
    bool reached = share + 1e-9 >= threshold_of(mode);
    *out = (struct verdict){ .reached = reached,
                             .winner = winner,
                             .confidence = share,
                             .strength = unanimous && !reached ? "none" : strength_of(share),
                             .status = reached ? "consensus_reached" : "completed" };
}

void consensus_judged(struct verdict *verdict)
{
    verdict->reached = true;
    verdict->confidence = JUDGED;
    verdict->status = "consensus_reached";
}
