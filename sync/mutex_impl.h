/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_MUTEX_IMPL_H
#define HILO_SYNC_MUTEX_IMPL_H

/* mutex_impl.h - what condition.c asks of a mutex. */
#include <hilo/sync/mutex.h>

#include <stdbool.h>

/* [any] The caller has @mutex. */
bool hilo__mutex_is_mine(const hilo_mutex *mutex);

/* [owner] In debug mode: -EPERM, for @call: an ancestor of the fork that the caller is in has @mutex. Else 0. */
int hilo__mutex_check_fork(const hilo_mutex *mutex, const char *call);

/* [task, plain thread; suspends] hilo_mutex_lock, without limit; @site is where that is called, for debug mode. */
int hilo__mutex_lock_at(hilo_mutex *mutex, const void *site);

/* [any] Who locks, unlocks and waits: the running task, a plain thread's record. 0; -EDEADLK: a callback; -ENOMEM. */
struct hilo_task;
int hilo__locker(struct hilo_task **ret);

#endif /* HILO_SYNC_MUTEX_IMPL_H */
