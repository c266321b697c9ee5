/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_BASE_RANDOM_H
#define HILO_SCHEDULER_BASE_RANDOM_H

/*
 * random.h - a small fast generator for each worker: which victim, which tick, which test case.
 * Reproducible from its seed. Not for secrets.
 *
 * A 64-bit xorshift step (period 2^64 - 1), whose state never is 0, followed by a multiplication that
 * hides its linearity in the upper bits; the seed goes through a mixing function so that neighbouring
 * seeds give unrelated sequences.
 */
#include <stdint.h>

struct random {
	uint64_t state; /* [owner] never 0 */
};

/*
 * [any] A seed for this process: HILO_SEED from the environment (decimal, or hexadecimal after 0x),
 * else (and if that is 0 or no number) from the kernel. The same at each call, so that one printed
 * number reproduces a run.
 */
uint64_t hilo__random_seed(void);

#ifdef HILO_TESTING
/* [any] Let the next hilo__random_seed draw anew. */
void hilo__random_forget_seed(void);
#endif

/* [any] A bijection of 64-bit numbers that lets each bit of @x decide about half of the result. */
static inline uint64_t random_mix(uint64_t x)
{
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	return x;
}

/* [owner] Start the sequence number @stream of @seed: one stream for each worker. */
static inline void random_init(struct random *random, uint64_t seed, uint64_t stream)
{
	uint64_t state = random_mix(seed + random_mix(stream + 1));

	random->state = state ? state : 1;
}

/* [owner] 64 random bits. */
static inline uint64_t random_u64(struct random *random)
{
	uint64_t x = random->state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	random->state = x;
	return x * UINT64_C(0x9e3779b97f4a7c15);
}

/* [owner] A number from 0 to @n - 1; 0 when @n is 0. Off from even by less than @n / 2^32. */
static inline uint32_t random_below(struct random *random, uint32_t n)
{
	return (uint32_t)(((random_u64(random) >> 32) * n) >> 32);
}

#endif /* HILO_SCHEDULER_BASE_RANDOM_H */
