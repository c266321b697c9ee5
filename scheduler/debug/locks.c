/* SPDX-License-Identifier: MIT */
/*
 * locks.c - libhilo-locks.so: stands before the C library's locks and keeps, for each thread, which ones
 * it holds.
 *
 * Waiting for a condition needs no care: the mutex is given back and taken again inside, while the thread
 * waits and nothing else runs on it. A lock that another thread gives back, which is an error, stays in the list
 * of the one that took it. Those beyond KEPT, and locks taken from inside the C library, are not seen.
 */
#include "scheduler/debug/locks.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <threads.h>

#include "scheduler/base/atomic.h"

#define KEPT 16

static _Thread_local struct {
	unsigned count;
	struct held_lock held[KEPT]; /* the oldest first */
} locks;

static void lock_taken(int rc, const volatile void *lock, const void *site, const char *kind)
{
	if ((rc == 0 || rc == EOWNERDEAD) && locks.count < KEPT)
		locks.held[locks.count++] = (struct held_lock){(const void *)(uintptr_t)lock, site, kind};
}

static void lock_given_back(const volatile void *lock)
{
	for (unsigned i = locks.count; i-- > 0;) {
		if (locks.held[i].lock != lock)
			continue;
		locks.count--;
		memmove(&locks.held[i], &locks.held[i + 1], (locks.count - i) * sizeof(locks.held[0]));
		return;
	}
}

#define EXPORTED __attribute__((visibility("default")))

EXPORTED unsigned hilo_locks_take(struct held_lock *ret, unsigned max)
{
	unsigned n = locks.count < max ? locks.count : max;

	memcpy(ret, locks.held, n * sizeof(*ret));
	locks.count = 0;
	return n;
}

/* The function of that name that would be called without us. Relaxed: two threads find the same. */
#define NEXT(name)                                                                                           \
	static atomic(__typeof__(&name)) found;                                                              \
	__typeof__(&name) next = load_relaxed(&found);                                                       \
                                                                                                             \
	if (!next) {                                                                                         \
		next = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                           \
		store_relaxed(&found, next);                                                                 \
	}

#define TAKES(name, kind, type)                                                                              \
	EXPORTED int name(type *lock)                                                                        \
	{                                                                                                    \
		NEXT(name)                                                                                   \
		int rc = next(lock);                                                                         \
                                                                                                             \
		lock_taken(rc, lock, __builtin_return_address(0), kind);                                     \
		return rc;                                                                                   \
	}

#define TAKES_TIMED(name, kind, type)                                                                        \
	EXPORTED int name(type *restrict lock, const struct timespec *restrict until)                        \
	{                                                                                                    \
		NEXT(name)                                                                                   \
		int rc = next(lock, until);                                                                  \
                                                                                                             \
		lock_taken(rc, lock, __builtin_return_address(0), kind);                                     \
		return rc;                                                                                   \
	}

#define TAKES_CLOCK(name, kind, type)                                                                        \
	EXPORTED int name(type *restrict lock, clockid_t clock, const struct timespec *restrict until)       \
	{                                                                                                    \
		NEXT(name)                                                                                   \
		int rc = next(lock, clock, until);                                                           \
                                                                                                             \
		lock_taken(rc, lock, __builtin_return_address(0), kind);                                     \
		return rc;                                                                                   \
	}

#define GIVES_BACK(name, type)                                                                               \
	EXPORTED int name(type *lock)                                                                        \
	{                                                                                                    \
		NEXT(name)                                                                                   \
                                                                                                             \
		lock_given_back(lock);                                                                       \
		return next(lock);                                                                           \
	}

TAKES(pthread_mutex_lock, "mutex", pthread_mutex_t)
TAKES(pthread_mutex_trylock, "mutex", pthread_mutex_t)
TAKES_TIMED(pthread_mutex_timedlock, "mutex", pthread_mutex_t)
TAKES_CLOCK(pthread_mutex_clocklock, "mutex", pthread_mutex_t)
GIVES_BACK(pthread_mutex_unlock, pthread_mutex_t)

TAKES(mtx_lock, "mutex", mtx_t)
TAKES(mtx_trylock, "mutex", mtx_t)
TAKES_TIMED(mtx_timedlock, "mutex", mtx_t)
GIVES_BACK(mtx_unlock, mtx_t)

TAKES(pthread_rwlock_rdlock, "rwlock", pthread_rwlock_t)
TAKES(pthread_rwlock_tryrdlock, "rwlock", pthread_rwlock_t)
TAKES_TIMED(pthread_rwlock_timedrdlock, "rwlock", pthread_rwlock_t)
TAKES_CLOCK(pthread_rwlock_clockrdlock, "rwlock", pthread_rwlock_t)
TAKES(pthread_rwlock_wrlock, "rwlock", pthread_rwlock_t)
TAKES(pthread_rwlock_trywrlock, "rwlock", pthread_rwlock_t)
TAKES_TIMED(pthread_rwlock_timedwrlock, "rwlock", pthread_rwlock_t)
TAKES_CLOCK(pthread_rwlock_clockwrlock, "rwlock", pthread_rwlock_t)
GIVES_BACK(pthread_rwlock_unlock, pthread_rwlock_t)

TAKES(pthread_spin_lock, "spinlock", pthread_spinlock_t)
TAKES(pthread_spin_trylock, "spinlock", pthread_spinlock_t)
GIVES_BACK(pthread_spin_unlock, pthread_spinlock_t)
