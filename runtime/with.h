/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_WITH_H
#define HILO_RUNTIME_WITH_H

#include <hilo/runtime/types.h>
#include <hilo/runtime/task.h>

HILO_BEGIN_DECLS

/*
 * with.h - what is acquired is released: asynchronous context managers, and what is to be done in any case.
 *
 * Both are for tasks, and work in plain threads, and in callbacks as far as nothing suspends there.
 */

/*
 * How to enter and to leave something. Both may suspend; either may be NULL.
 *
 * enter  0 or more, or why it cannot be entered: the block is then passed over, and exit not called.
 * exit   is called in any case once enter has succeeded, with the code of the block, and returns the code that
 *        the block has from then on: the same, or 0 if that failure is dealt with. Requests to stop do not
 *        reach it (hilo_shield_enter).
 */
typedef struct hilo_manager {
	int (*enter)(void *self);
	int (*exit)(void *self, int code);
} hilo_manager;

/*
 * A block with something that @manager, a hilo_manager *, has entered. *@code is 0 when the block begins. Leaving
 * it by break, continue, return or goto is leaving it.
 *
 *	HILO_WITH(&transaction, &database, &rc) {
 *		rc = store(&database, record);
 *	}
 */
#define HILO_WITH(manager, self, code)                                                                       \
	for (hilo_with HILO_HERE(hilo_with_) HILO_CLEANUP(hilo_with_cleanup),                                \
	     *HILO_HERE(hilo_in_) = hilo_with_begin(&HILO_HERE(hilo_with_), manager, self, code);            \
	     HILO_HERE(hilo_in_); HILO_HERE(hilo_in_) = hilo_with_end(&HILO_HERE(hilo_with_)))

/*
 * From here to the end of the enclosing block: @fn(@arg) is called when that block is left, however that
 * happens; what was deferred last comes first. It may suspend; requests to stop do not reach it.
 *
 *	HILO_DEFER(connection_close, connection);
 */
#define HILO_DEFER(fn, arg)                                                                                  \
	hilo_deferred HILO_HERE(hilo_deferred_) HILO_CLEANUP(hilo_deferred_run) = {fn, arg}

/* What the macros put into the frame. */
typedef struct hilo_with {
	const hilo_manager *manager;
	void *self;
	int *code; /* NULL: not entered, or left */
} hilo_with;

typedef struct hilo_deferred {
	void (*fn)(void *arg);
	void *arg;
} hilo_deferred;

static inline hilo_with *hilo_with_begin(hilo_with *with, const hilo_manager *manager, void *self, int *code)
{
	int rc = manager->enter ? manager->enter(self) : 0;

	with->manager = manager;
	with->self = self;
	with->code = rc < 0 ? NULL : code;
	*code = rc < 0 ? rc : 0;
	return rc < 0 ? NULL : with;
}

static inline hilo_with *hilo_with_end(hilo_with *with)
{
	int *code = with->code, shielded;

	with->code = NULL;
	if (!code || !with->manager->exit)
		return NULL;
	shielded = hilo_shield_enter();
	*code = with->manager->exit(with->self, *code);
	if (shielded == 0)
		(void)hilo_shield_leave();
	return NULL;
}

static inline void hilo_with_cleanup(hilo_with *with)
{
	(void)hilo_with_end(with);
}

static inline void hilo_deferred_run(hilo_deferred *deferred)
{
	int shielded = hilo_shield_enter();

	deferred->fn(deferred->arg);
	if (shielded == 0)
		(void)hilo_shield_leave();
}

HILO_END_DECLS

#endif /* HILO_RUNTIME_WITH_H */
