#include "common/metrics/rate.h"

/* The bucket of this client, taken over from nobody, or from whom it tells nothing about any
 * more: a full bucket is as good as a new one. */
static struct bucket *find(struct segment *segment, uint64_t key, int64_t now_us)
{
    struct bucket *ways = segment_buckets(segment, key), *oldest = ways;

    for (int i = 0; i < BUCKET_WAYS; i++)
        if (atomic_load_explicit(&ways[i].key, memory_order_acquire) == key)
            return &ways[i];
    for (int i = 0; i < BUCKET_WAYS; i++) {
        uint64_t held = atomic_load_explicit(&ways[i].key, memory_order_acquire);
        int64_t full_at = atomic_load_explicit(&ways[i].full_at_us, memory_order_acquire);

        if (full_at <= now_us && atomic_compare_exchange_strong(&ways[i].key, &held, key))
            return &ways[i];
        if (held == key) /* another process was faster with the same client */
            return &ways[i];
        if (full_at < atomic_load_explicit(&oldest->full_at_us, memory_order_acquire))
            oldest = &ways[i];
    }
    atomic_store(&oldest->full_at_us, now_us);
    atomic_store(&oldest->key, key);
    return oldest;
}

static uint64_t bucket_key(struct str scope, struct str key)
{
    uint64_t hash = str_hash(scope) * UINT64_C(0x9e3779b97f4a7c15) ^ str_hash(key);

    return hash ? hash : 1;
}

struct rate_answer rate_take(struct segment *segment, struct str scope, struct str key,
                             struct rate rate, int64_t now_us)
{
    int64_t token_us = 60 * US_PER_S / rate.per_minute;
    int64_t room_us = token_us * rate.burst;
    struct bucket *bucket = find(segment, bucket_key(scope, key), now_us);
    int64_t full_at = atomic_load(&bucket->full_at_us), next;

    if (token_us == 0) /* more than one a microsecond: no limit that could be told */
        return (struct rate_answer){ .allowed = true, .remaining = rate.burst };
    do {
        next = (full_at > now_us ? full_at : now_us) + token_us;
        if (next - now_us > room_us)
            return (struct rate_answer){ .retry_after_us = next - now_us - room_us };
    } while (!atomic_compare_exchange_weak(&bucket->full_at_us, &full_at, next));
    return (struct rate_answer){ .allowed = true,
                                 .remaining = (room_us - (next - now_us)) / token_us };
}

/* A bucket that another client has taken over meanwhile was full, so nothing is owed. */
void rate_give_back(struct segment *segment, struct str scope, struct str key, struct rate rate)
{
    uint64_t hash = bucket_key(scope, key);
    struct bucket *ways = segment_buckets(segment, hash);

    for (int i = 0; i < BUCKET_WAYS; i++)
        if (atomic_load_explicit(&ways[i].key, memory_order_acquire) == hash) {
            atomic_fetch_sub(&ways[i].full_at_us, 60 * US_PER_S / rate.per_minute);
            return;
        }
}

int64_t rate_tracked(struct segment *segment, int64_t now_us)
{
    int64_t count = 0;

    for (uint64_t key = 0; key < BUCKETS / BUCKET_WAYS; key++) {
        const struct bucket *ways = segment_buckets(segment, key);

        for (int i = 0; i < BUCKET_WAYS; i++)
            count += atomic_load_explicit(&ways[i].full_at_us, memory_order_relaxed) > now_us;
    }
    return count;
}
