/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_RESOLVE_IMPL_H
#define HILO_IO_RESOLVE_IMPL_H

/*
 * resolve_impl.h - look-ups, and what is known from them.
 *
 *	callers -> table: known? under way? -> an executor's thread -> lookup_over: answered, kept for a while
 *	resolve.c  resolve_table.c             resolve_system.c
 *
 * A look-up is one object from the question to the end of the time that its answer is kept. It lives while somebody
 * has a reference: the table has one while the look-up can be found in it, everybody who waits or reads has one,
 * and that it is not done counts as one (completion.h).
 *
 * I1  A look-up is in the table, or not any more; it never comes back. One that is in the table is under way, or
 *     answered and in the list of those used last; only those are counted, and let go when there are too many.
 * I2  What it was answered with is written before it is done, and never changes.
 * I3  Between the answer and the end of lookup_over it may be found as answered though its completion is not set yet:
 *     both say the same.
 * I4  `askers` are those who wait for it. A thread that comes for one without any drops it: it leaves the table in
 *     the same hold of the lock, so nobody joins it later.
 * P1  The lock orders table, lists, askers and settings.
 * P2  completion_set releases, who waits for it acquires; who finds it answered has taken the lock after it was.
 * P3  The pool of the process is made once, and published by CAS; who finds it acquires.
 *
 * Rejected: a table for each runtime. A program with several would ask for the same name once for each, and plain
 * threads have none. The price is that the runtime whose thread makes a look-up may end before it was made: those
 * who belong to others then ask again. Rejected: a future for each look-up. It would be told to the exception
 * handler when it fails and nobody waits any more.
 */
#include <hilo/io/resolve.h>

#include <netdb.h>

#include "runtime/executor_impl.h"

/* Two names, what else is asked for, and their ends. */
#define RESOLVE_NAME_MAX 255
#define RESOLVE_SERVICE_SIZE 64
#define RESOLVE_KEY_SIZE (8 + RESOLVE_NAME_MAX + 1 + RESOLVE_SERVICE_SIZE)

/* What is looked up, as bytes that are equal if it is the same; and as the query that is made. */
struct resolve_key {
	uint32_t hash;
	unsigned length;
	char bytes[RESOLVE_KEY_SIZE];
};

/* P1 */
struct resolve_settings {
	hilo_time answers, failures;
	size_t entries;
	hilo_resolve_fn lookup;
	hilo_resolve_name_fn name;
	void *arg;
};

/* The names at an address. */
struct resolve_names {
	char host[HILO_ADDRESS_SIZE];
	char service[RESOLVE_SERVICE_SIZE];
};

struct lookup {
	struct completion done;
	struct job job;
	struct lookup *next; /* in its row of the table */
	struct list recent;  /* of those that are answered, in the table: used last is last */
	struct resolve_settings settings;
	struct hilo_runtime *runtime; /* whose thread makes it; NULL: the process's */
	hilo_time queued;
	atomic(hilo_time) began; /* 0: it is queued */
	hilo_time expires;
	unsigned askers; /* I4 */
	bool in_table, answered, dropped;
	int code;	      /* I2: how many addresses, 0 for names, or a failure ... */
	struct error *error;  /* ... and what is said about it; a reference */
	void *answer;	      /* I2: hilo_address [code], or struct resolve_names */
	hilo_address address; /* whose name is wanted */
	hilo_resolve_query query;
	struct resolve_key key;
};

/* resolve_table.c */

/*
 * [any, suspends] The answer of the look-up @key, for @query, whose texts are in @key: a reference on it in *@ret,
 * which is done. 0; why there is none: -ETIMEDOUT, -ECANCELED, -EDEADLK, -ENOMEM, with a message in the name of
 * @call.
 */
int hilo__resolve_ask(const char *call, const struct resolve_key *key, const hilo_resolve_query *query,
		      hilo_time deadline, struct lookup **ret);

/* [holder of a reference] One less. */
void hilo__resolve_unref(struct lookup *lookup);

/* [pool thread, who has it] Look it up: the code, with an error for the thread's last failure. */
int hilo__resolve_make(struct lookup *lookup);

/* resolve_system.c: what getaddrinfo and getnameinfo say. */
int hilo__resolve_system(const hilo_resolve_query *query, hilo_address *ret, size_t max, void *arg);
int hilo__resolve_system_name(const hilo_resolve_query *query, char *host, char *service, void *arg);

#endif /* HILO_IO_RESOLVE_IMPL_H */
