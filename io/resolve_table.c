/* SPDX-License-Identifier: MIT */
/* resolve_table.c - look-ups that are shared, and answers that are kept. The protocol is in resolve_impl.h. */
#include "io/resolve_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "runtime/contend_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"

#define TABLE_ROWS 256u
#define DEFAULT_ANSWERS (30 * HILO_SECOND)
#define DEFAULT_FAILURES (5 * HILO_SECOND)
#define DEFAULT_ENTRIES 1024
/* Look-ups that are let go of under one hold of the lock. */
#define BATCH 16

static struct {
	struct spinlock lock;
	struct lookup *row[TABLE_ROWS];
	struct list recent; /* I1; used last is last */
	struct resolve_settings settings;
	hilo_resolver_stats stats;
	atomic(hilo_executor *) pool; /* P3: for who belongs to no runtime */
} table = {
	.recent = LIST_INIT(table.recent),
	.settings = {DEFAULT_ANSWERS, DEFAULT_FAILURES, DEFAULT_ENTRIES, hilo__resolve_system,
		     hilo__resolve_system_name, NULL},
};

void hilo__resolve_unref(struct lookup *lookup)
{
	if (!completion_unref(&lookup->done))
		return;
	hilo__error_free(lookup->error);
	hilo__free(lookup->answer);
	hilo__free(lookup);
}

/* [lock] Where the one with @key is, or would be. */
static struct lookup **table_find(const struct resolve_key *key)
{
	struct lookup **at = &table.row[key->hash % TABLE_ROWS];

	while (*at && ((*at)->key.hash != key->hash || (*at)->key.length != key->length ||
		       memcmp((*at)->key.bytes, key->bytes, key->length) != 0))
		at = &(*at)->next;
	return at;
}

/* [lock] Take *@at out. Its reference is the caller's, to be dropped without the lock. */
static struct lookup *table_take(struct lookup **at)
{
	struct lookup *lookup = *at;

	*at = lookup->next;
	lookup->in_table = false;
	if (lookup->answered) {
		list_del(&lookup->recent);
		table.stats.entries--;
	}
	return lookup;
}

/* [lock] One that is used less than all others, taken out; NULL: there are @most at most. */
static struct lookup *table_shrink(size_t most)
{
	struct lookup *oldest;

	if (table.stats.entries <= most)
		return NULL;
	oldest = list_entry(list_first(&table.recent), struct lookup, recent);
	return table_take(table_find(&oldest->key));
}

/* [lock] How long @lookup, answered with @code, is kept; 0: not. Failures of this machine are nobody else's. */
static hilo_time lookup_keeps(const struct lookup *lookup, int code)
{
	hilo_time span = code < 0 ? lookup->settings.failures : lookup->settings.answers;

	switch (code) {
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -ECANCELED:
	case HILO_ECLOSED:
		return 0;
	default:
		return span > 0 ? span : 0;
	}
}

/* [who has it] It is answered with @code: I3. The last touch of it. */
static void lookup_settle(struct lookup *lookup, int code, bool keep)
{
	struct lookup *gone = NULL;

	spin_lock(&table.lock);
	table.stats.under_way--;
	table.stats.failures += !lookup->dropped && code < 0;
	lookup->code = code;
	lookup->expires = keep ? lookup_keeps(lookup, code) : 0;
	if (lookup->in_table && !lookup->expires) {
		gone = table_take(table_find(&lookup->key));
	} else if (lookup->in_table) {
		lookup->expires += hilo__clock_now();
		list_add_tail(&table.recent, &lookup->recent);
		table.stats.entries++;
		gone = table_shrink(lookup->settings.entries);
	}
	lookup->answered = true;
	spin_unlock(&table.lock);
	completion_ref(&lookup->done); /* ours, until it is done */
	lookup->done.result = 0;
	(void)completion_set(&lookup->done); /* P2 */
	if (gone)
		hilo__resolve_unref(gone);
	hilo__resolve_unref(lookup);
}

/* [pool thread] Somebody wants it, and it begins; else it is dropped. */
static bool lookup_begin(struct lookup *lookup)
{
	struct lookup *gone = NULL;

	spin_lock(&table.lock);
	lookup->dropped = !lookup->askers;
	if (lookup->dropped && lookup->in_table)
		gone = table_take(table_find(&lookup->key)); /* I4 */
	table.stats.dropped += lookup->dropped;
	table.stats.lookups += !lookup->dropped;
	spin_unlock(&table.lock);
	if (gone)
		hilo__resolve_unref(gone); /* not the last: it is not done */
	if (!lookup->dropped)
		store_relaxed(&lookup->began, hilo__clock_now()); /* relaxed: for messages only */
	return !lookup->dropped;
}

static int lookup_run(void *arg)
{
	struct lookup *lookup = arg;

	return lookup_begin(lookup) ? hilo__resolve_make(lookup) : -ECANCELED;
}

/* [whoever has the job] */
static void lookup_over(struct job *job)
{
	struct lookup *lookup = container_of(job, struct lookup, job);
	bool run = load_relaxed(&job->state) != JOB_REFUSED; /* relaxed: ours alone */

	lookup->error = job->error;
	job->error = NULL;
	lookup_settle(lookup, job->result, run);
}

static struct lookup *lookup_new(const struct resolve_key *key, const hilo_resolve_query *query)
{
	struct lookup *lookup = hilo__calloc(1, sizeof(*lookup));
	const char *text;

	if (!lookup)
		return NULL;
	completion_init(&lookup->done, 2); /* the caller's, and the table's */
	list_init(&lookup->recent);
	atomic_setup(&lookup->began, 0);
	lookup->askers = 1;
	lookup->key = *key;
	lookup->query = *query;
	if (query->address) {
		lookup->address = *query->address;
		lookup->query.address = &lookup->address;
	}
	text = lookup->key.bytes;
	if (query->host)
		lookup->query.host = text + (query->host - key->bytes);
	if (query->service)
		lookup->query.service = text + (query->service - key->bytes);
	return lookup;
}

/* The executor that makes the caller's look-ups. */
static int lookup_executor(hilo_executor **ret)
{
	static const hilo_executor_opts opts = {
		.size = sizeof(opts), .name = "hilo-resolve", .max_threads = 16};
	hilo_executor *made, *found;
	int rc;

	if (runtime_of_caller())
		return hilo_resolver_executor(ret);
	found = load_acquire(&table.pool); /* P3 */
	if (!found) {
		rc = hilo__executor_new(&opts, 1, false, &made);
		if (rc < 0)
			return rc;
		if (cas_acq_rel(&table.pool, &found, made)) /* P3 */
			found = made;
		else
			hilo__executor_free(made);
	}
	*ret = found;
	return 0;
}

/* [who has made @lookup, which is in the table] Have it looked up. It may be over when this returns. */
static void lookup_start(struct lookup *lookup)
{
	hilo_executor *executor;
	int rc;

	job_init(&lookup->job, lookup_run, lookup, lookup_over);
	lookup->job.locals = NULL; /* it is everybody's */
	rc = lookup_executor(&executor);
	if (rc == 0)
		rc = hilo__executor_try(executor, &lookup->job);
	if (rc == 0)
		return;
	lookup->error = lookup->job.error;
	lookup_settle(lookup, rc, false);
}

/*
 * [lock] Join the look-up that @key has in the table, or use its answer. NULL: it has none that counts; what does not
 * count any more is taken out, *@gone.
 */
static struct lookup *table_join(const struct resolve_key *key, bool fresh, struct lookup **gone)
{
	struct lookup **at = table_find(key), *lookup = *at;

	*gone = NULL;
	if (!lookup)
		return NULL;
	if (lookup->answered && (fresh || lookup->expires <= hilo__clock_now())) {
		*gone = table_take(at);
		return NULL;
	}
	if (lookup->answered) {
		list_del(&lookup->recent);
		list_add_tail(&table.recent, &lookup->recent);
		table.stats.known++;
	} else {
		table.stats.shared++;
	}
	lookup->askers++;
	completion_ref(&lookup->done);
	return lookup;
}

/*
 * One to wait for, of which the caller is an asker. *@made: it has to be started; *@answered: it was, so that nothing
 * has to be waited for. NULL: out of memory.
 */
static struct lookup *table_ask(const struct resolve_key *key, const hilo_resolve_query *query, bool fresh,
				bool *made, bool *answered)
{
	struct lookup *lookup, *fresh_one = NULL, *gone;

	*made = false;
	spin_lock(&table.lock);
	lookup = table_join(key, fresh, &gone);
	*answered = lookup && lookup->answered;
	spin_unlock(&table.lock);
	if (gone)
		hilo__resolve_unref(gone);
	if (lookup || !(fresh_one = lookup_new(key, query)))
		return lookup;
	spin_lock(&table.lock);
	lookup = table_join(key, fresh, &gone); /* somebody else may have been faster */
	if (!lookup) {
		struct lookup **row = &table.row[key->hash % TABLE_ROWS];

		lookup = fresh_one;
		lookup->settings = table.settings;
		lookup->runtime = runtime_of_caller();
		lookup->queued = hilo__clock_now();
		lookup->in_table = true;
		lookup->next = *row;
		*row = lookup;
		table.stats.under_way++;
		*made = true;
	}
	*answered = lookup->answered;
	spin_unlock(&table.lock);
	if (gone)
		hilo__resolve_unref(gone);
	if (!*made)
		hilo__free(fresh_one);
	return lookup;
}

/* [asker] Not any more. */
static void table_leave(struct lookup *lookup, int rc)
{
	spin_lock(&table.lock);
	lookup->askers--;
	table.stats.left += rc < 0;
	spin_unlock(&table.lock);
}

/* [asker] The wait has ended with @rc: say why. */
static HILO__COLD int ask_failed(const char *call, struct lookup *lookup, hilo_time since, int rc)
{
	hilo_time now = hilo__clock_now(), began = load_relaxed(&lookup->began); /* relaxed: a time */
	hilo_time queued = (began ? began : now) - lookup->queued;

	if (rc != -ETIMEDOUT)
		return hilo__error_own(rc);
	if (!began)
		return hilo_fail(rc,
				 "%s: %s: timed out after %.3f s; the look-up has been in the queue of "
				 "hilo-resolve for %.3f s",
				 call, lookup->query.host ? lookup->query.host : "?",
				 (double)(now - since) / (double)HILO_SECOND,
				 (double)queued / (double)HILO_SECOND);
	return hilo_fail(rc,
			 "%s: %s: timed out after %.3f s; the look-up was in the queue of hilo-resolve for "
			 "%.3f s, and a thread has been at it for %.3f s",
			 call, lookup->query.host ? lookup->query.host : "?",
			 (double)(now - since) / (double)HILO_SECOND, (double)queued / (double)HILO_SECOND,
			 (double)(now - began) / (double)HILO_SECOND);
}

int hilo__resolve_ask(const char *call, const struct resolve_key *key, const hilo_resolve_query *query,
		      hilo_time deadline, struct lookup **ret)
{
	bool fresh = !query->address && query->flags & HILO_RESOLVE_FRESH, made, answered, foreign;
	hilo_time since = hilo__clock_now();
	struct lookup *lookup;
	int rc;

	if (contend_is_interrupted(thread_self()))
		return hilo__error_own(-ECANCELED);
	do {
		lookup = table_ask(key, query, fresh, &made, &answered);
		if (!lookup)
			return hilo__error_own(-ENOMEM);
		if (made)
			lookup_start(lookup);
		rc = answered ? 0 : hilo__await_completion(&lookup->done, WAIT_EXECUTOR, lookup, deadline);
		table_leave(lookup, rc);
		if (rc < 0) {
			rc = ask_failed(call, lookup, since, rc);
			hilo__resolve_unref(lookup);
			return rc;
		}
		/* The runtime whose thread was to make it has ended, which is no concern of ours. */
		foreign = lookup->code == HILO_ECLOSED && lookup->runtime != runtime_of_caller();
		if (foreign)
			hilo__resolve_unref(lookup);
	} while (foreign);
	*ret = lookup;
	return 0;
}

int hilo_resolver_configure(const hilo_resolver_opts *given)
{
	hilo_resolver_opts opts = {.size = sizeof(opts)};
	int rc = given ? SIZED_IN(hilo_resolver_opts, &opts, given, arg) : 0;

	if (rc < 0)
		return rc;
	spin_lock(&table.lock);
	table.settings.answers = opts.answers ? opts.answers : DEFAULT_ANSWERS;
	table.settings.failures = opts.failures ? opts.failures : DEFAULT_FAILURES;
	table.settings.entries = opts.entries ? opts.entries : DEFAULT_ENTRIES;
	table.settings.lookup = opts.lookup ? opts.lookup : hilo__resolve_system;
	table.settings.name = opts.name ? opts.name : hilo__resolve_system_name;
	table.settings.arg = opts.arg;
	spin_unlock(&table.lock);
	(void)hilo_resolver_flush(NULL);
	return 0;
}

/* [lock] The next one of row @row that is about @host, or anything if that is NULL, taken out. NULL: no more. */
static struct lookup *row_take(unsigned row, const char *host)
{
	struct lookup **at = &table.row[row];

	while (*at && host && (!(*at)->query.host || strcasecmp((*at)->query.host, host) != 0))
		at = &(*at)->next;
	return *at ? table_take(at) : NULL;
}

size_t hilo_resolver_flush(const char *host)
{
	struct lookup *gone[BATCH];
	size_t known = 0;

	for (unsigned row = 0; row < TABLE_ROWS;) {
		unsigned n = 0;

		spin_lock(&table.lock);
		while (n < BATCH && (gone[n] = row_take(row, host)))
			known += gone[n++]->answered;
		spin_unlock(&table.lock);
		row += n < BATCH;
		while (n > 0)
			hilo__resolve_unref(gone[--n]);
	}
	return known;
}

int hilo_resolver_get_stats(hilo_resolver_stats *ret)
{
	hilo_resolver_stats now;
	int rc;

	if (!ret)
		return hilo_fail(-EINVAL, "hilo_resolver_get_stats: ret is NULL");
	spin_lock(&table.lock);
	now = table.stats;
	spin_unlock(&table.lock);
	rc = SIZED_OUT(hilo_resolver_stats, ret, &now, under_way);
	return rc < 0 ? hilo_fail(rc, "hilo_resolver_get_stats: ret->size is %zu", ret->size) : 0;
}
