/* SPDX-License-Identifier: MIT */
/*
 * select.c - waiting for the first of several different things.
 *
 * The cases are looked at in their order. If none is ready, those that have a completion are waited for as
 * several.c does, until the first of the timers or the deadline; then they are looked at again, whatever has
 * ended the wait: what is ready outranks a cancel, and the deadline. Which of them has woken us is not
 * asked: one before it may be ready by now.
 *
 * A kind of case says whether it is ready, and which completion, if any, tells that it will be. What is ready
 * again and again (a queue that is not empty, an event that is set) has no completion, but a list of struct
 * waiter like one: nodes are added to and removed from that list instead, and are called all the same.
 */
#include <hilo/runtime/select.h>

#include <hilo/runtime/error.h>

#include <errno.h>
#include <limits.h>

#include "runtime/runtime_impl.h"
#include "runtime/several_impl.h"
#include "scheduler/base/clock.h"

/* The completion of a case; NULL: it has none, or could not be made. */
static struct completion *case_done(const hilo_select_case *c)
{
	if (c->kind == HILO_SELECT_KIND_TASK)
		return c->task ? &c->task->done : NULL;
	if (c->kind == HILO_SELECT_KIND_FUTURE)
		return c->future ? hilo__future_done(c->future) : NULL;
	return NULL;
}

static struct completion *case_at(const void *cases, size_t i)
{
	return case_done((const hilo_select_case *)cases + i);
}

static bool case_is_ready(const hilo_select_case *c)
{
	struct completion *done = case_done(c);

	if (c->kind == HILO_SELECT_KIND_TIMER)
		return hilo__clock_now() >= c->when;
	return !done || completion_is_done(done);
}

/* The position of the first case that is ready; -1: none. */
static int select_look(const hilo_select_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (case_is_ready(&cases[i]))
			return (int)i;
	return -1;
}

/* The first of the timers, or the deadline if that comes before. */
static hilo_time select_until(const hilo_select_case *cases, size_t n, hilo_time deadline)
{
	for (size_t i = 0; i < n; i++)
		if (cases[i].kind == HILO_SELECT_KIND_TIMER && cases[i].when < deadline)
			deadline = cases[i].when;
	return deadline;
}

static int select_check(const hilo_select_case *cases, size_t n)
{
	int rc = hilo__several_check_caller("hilo_select");

	if (rc < 0)
		return rc;
	if (!cases || !n || n > INT_MAX)
		return hilo_fail(-EINVAL, "hilo_select: %zu cases%s", n, cases ? "" : ", cases is NULL");
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (cases[i].kind < HILO_SELECT_KIND_TASK || cases[i].kind > HILO_SELECT_KIND_TIMER)
			rc = hilo_fail(-EINVAL, "hilo_select: case %zu is of kind %d", i, (int)cases[i].kind);
		else if (cases[i].kind == HILO_SELECT_KIND_TASK)
			rc = hilo__several_check_task("hilo_select", cases[i].task);
	}
	return rc;
}

int hilo_select(const hilo_select_case *cases, size_t n, hilo_time deadline)
{
	const struct several_of of = {case_at, cases, n, WAIT_SELECT};
	struct completion *first = NULL;
	int rc = select_check(cases, n), ready;

	if (rc < 0)
		return rc;
	rc = hilo__several_enter(cases);
	if (rc < 0)
		return hilo__error_own(rc);
	ready = select_look(cases, n);
	if (ready >= 0) {
		if (deadline > 0 && thread_self()->loop)
			hilo__wait_was_free(thread_self());
		return ready;
	}
	rc = hilo__several_wait(&of, STOP_ENDED, select_until(cases, n, deadline), &first);
	if (rc == 0 || MUTANT(120, rc != -ENOMEM, false))
		ready = select_look(cases, n);
	return ready >= 0 ? ready : hilo__error_own_wait(rc, WAIT_SELECT, NULL);
}
