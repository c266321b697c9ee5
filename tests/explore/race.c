/* SPDX-License-Identifier: MIT */
/*
 * race.c - plain variables: whether two accesses, one of them a write, are not ordered by happens-before.
 *
 * A thread's clock goes up with each release; a view carries, for each thread, the clock up to which its
 * accesses happened before. So an access is ordered before the running thread if its clock is not above
 * what that thread's view says. That does not depend on the order in which the two were run: R1.
 */
#include "tests/explore/explore_impl.h"

#include <stdio.h>
#include <string.h>

#define PLAINS 2048

/* A plain variable, known by its address. */
struct plain {
	const void *address;
	uint64_t execution; /* in which the rest was reset */
	uint64_t content;   /* stands for the value: the writer's course; 0: that of setup */
	uint8_t writer, write_clock;
	bool retired;
	uint8_t reads[EXPLORE_THREADS]; /* clock of each thread's last read */
};

static struct plain plains[PLAINS];
static unsigned plain_count;
static uint64_t execution;
static uint64_t content_hash;

void race_forget(void)
{
	memset(plains, 0, sizeof(plains));
	plain_count = 0;
}

void race_reset(void)
{
	execution++;
	content_hash = 0;
}

uint64_t race_hash(void)
{
	return content_hash;
}

static struct plain *plain_at(const void *p)
{
	unsigned i = (unsigned)(((uintptr_t)p * 0x9e3779b97f4a7c15u) >> 40) % PLAINS;
	struct plain *plain;

	while (plains[i].address != p && plains[i].address != NULL)
		i = (i + 1) % PLAINS;
	plain = &plains[i];
	if (plain->address == NULL) {
		if (++plain_count == PLAINS)
			explore_fail("%d plain variables and more", PLAINS);
		plain->address = p;
	}
	if (plain->execution != execution) {
		plain->execution = execution;
		plain->writer = 0;
		plain->write_clock = 0;
		plain->content = 0;
		plain->retired = memory_is_retired(p);
		memset(plain->reads, 0, sizeof(plain->reads));
	}
	return plain;
}

static bool plain_is_read_elsewhere(const struct plain *plain)
{
	for (unsigned t = 0; t < EXPLORE_THREADS; t++)
		if (t != explore_current && plain->reads[t] > explore_thread()->view.at[t])
			return true;
	return false;
}

static bool plain_is_written_elsewhere(const struct plain *plain)
{
	return plain->writer != explore_current &&
	       plain->write_clock > explore_thread()->view.at[plain->writer];
}

/* Where a plain access is, for messages: a site, or the address of the instruction after it. */
static const char *plain_name(const struct explore_site *site, const void *pc)
{
	static char text[160];

	if (site != NULL)
		(void)snprintf(text, sizeof(text), "%s:%d: %s", site->file, site->line, site->what);
	else
		(void)snprintf(text, sizeof(text), "a plain access at pc %p", pc);
	return text;
}

/* What is written follows from the writer's course. */
static void plain_write(struct plain *plain)
{
	struct thread *t = explore_thread();

	content_hash ^= plain->content;
	t->hash = hash_mix(t->hash, 5);
	plain->content = hash_mix(t->hash, (uint64_t)(plain - plains));
	content_hash ^= plain->content;
}

void race_access(const void *p, bool write, const struct explore_site *site, const void *pc)
{
	struct plain *plain = plain_at(p);

	if (explore_tracing && site != NULL)
		explore_trace(site, " ");
	if (plain->retired)
		explore_fail("use after free: %s", plain_name(site, pc));
	if (plain_is_written_elsewhere(plain))
		explore_fail("data race: %s, against a write of T%u", plain_name(site, pc), plain->writer);
	if (write && plain_is_read_elsewhere(plain))
		explore_fail("data race: %s, against a read", plain_name(site, pc));
	if (write) {
		plain->writer = (uint8_t)explore_current;
		plain->write_clock = explore_thread()->view.at[explore_current];
		plain_write(plain);
	} else {
		plain->reads[explore_current] = explore_thread()->view.at[explore_current];
		explore_thread()->hash = hash_mix(explore_thread()->hash, plain->content);
	}
}

void explore_plain(const void *p, bool write, const struct explore_site *site)
{
	if (explore_live)
		race_access(p, write, site, NULL);
}

void race_retire(uintptr_t from, uintptr_t to)
{
	for (unsigned i = 0; i < PLAINS; i++) {
		struct plain *plain = &plains[i];

		if ((uintptr_t)plain->address < from || (uintptr_t)plain->address >= to ||
		    plain->execution != execution)
			continue;
		if (plain_is_written_elsewhere(plain) || plain_is_read_elsewhere(plain))
			explore_fail("freed while another thread uses the plain data in it");
		plain->retired = true;
	}
}
