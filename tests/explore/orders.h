/* SPDX-License-Identifier: MIT */
#ifndef HILO_TESTS_EXPLORE_ORDERS_H
#define HILO_TESTS_EXPLORE_ORDERS_H

/* orders.h - for models with locks: nothing is in debug mode. */
#include "runtime/site_impl.h"
#include "sync/order_impl.h"
#include "tests/explore/explore.h"

void hilo__order_begin(struct thread *self)
{
	(void)self;
}

void hilo__order_wants(const struct hilo_task *me, const void *lock, struct order_mark *mark,
		       const void *site)
{
	(void)me, (void)lock, (void)mark, (void)site;
	explore_fail("debug mode");
}

void hilo__order_has(const struct hilo_task *me, const void *lock, struct order_mark *mark, const void *site)
{
	(void)me, (void)lock, (void)mark, (void)site;
	explore_fail("debug mode");
}

void hilo__order_lets_go(const struct hilo_task *me, const void *lock)
{
	(void)me, (void)lock;
	explore_fail("debug mode");
}

const void *hilo__order_where(const struct hilo_task *me, const void *lock)
{
	(void)me, (void)lock;
	explore_fail("debug mode");
}

int hilo__order_check_fork(const struct hilo_task *me, const void *lock, const char *call)
{
	(void)me, (void)lock, (void)call;
	explore_fail("debug mode");
}

void hilo__site_describe(const void *address, char *buf, size_t size)
{
	(void)address, (void)size;
	buf[0] = '\0';
}

#endif /* HILO_TESTS_EXPLORE_ORDERS_H */
