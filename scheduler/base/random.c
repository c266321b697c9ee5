/* SPDX-License-Identifier: MIT */
/*
 * random.c - the seed of the process.
 */
#include "scheduler/base/random.h"

#include <errno.h>
#include <stdlib.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/sys.h"

/* 0: not drawn yet. All relaxed: the number is all there is to see. */
static atomic(uint64_t) process_seed;

/* The number in HILO_SEED, 0 if there is none. */
static uint64_t seed_from_environment(void)
{
	const char *text = getenv("HILO_SEED");
	int base;
	char *end;
	uint64_t seed;

	if (!text || text[0] < '0' || text[0] > '9') /* strtoull would take a sign or blanks */
		return 0;
	base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	errno = 0;
	seed = strtoull(text, &end, base);
	return errno || *end ? 0 : seed;
}

static uint64_t seed_from_machine(void)
{
	uint64_t seed = 0;

	if (hilo__sys_getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed) || !seed)
		seed = random_mix((uint64_t)hilo__clock_now() ^ ((uint64_t)getpid() << 40));
	return seed ? seed : 1;
}

uint64_t hilo__random_seed(void)
{
	uint64_t seed = load_relaxed(&process_seed);
	uint64_t drawn;

	if (seed)
		return seed;
	drawn = seed_from_environment();
	if (!drawn)
		drawn = seed_from_machine();
	/* Threads that draw at once agree on the one that was stored first. */
	return cas_relaxed(&process_seed, &seed, drawn) ? drawn : seed;
}

#ifdef HILO_TESTING
void hilo__random_forget_seed(void)
{
	store_relaxed(&process_seed, 0);
}
#endif
