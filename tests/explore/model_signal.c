/* SPDX-License-Identifier: MIT */
/*
 * model_signal.c - the shipped signal.c and signal_wait.c: handlers in several threads, one who fetches, and who
 * leaves.
 *
 * Checked: a signal that was delivered is fetched, or counted as missed, by each subscriber that stays, and whoever
 * waits is woken for it; one whose last subscriber leaves is told to it or takes effect by its default action; nobody
 * touches a subscription that was freed. A handler is a thread here, as if the signal had come to one of the
 * application's; that it waits for nobody is argued in the source. The kernel changes and looks at what is done with
 * a signal, and at the counter of an eventfd, in one order each.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/loop.h>
#include <hilo/runtime/signal.h>

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "runtime/debug_impl.h"
#include "runtime/error_impl.h"
#include "runtime/sized_impl.h"
#include "runtime/signal_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"
#include "tests/explore/explore.h"

#define SUBSCRIPTIONS 2
#define SIZE 2048

static union {
	char bytes[SIZE];
	max_align_t align;
} memory[SUBSCRIPTIONS];
static unsigned made;
static hilo_signals *subscription[SUBSCRIPTIONS];
static struct thread threads[EXPLORE_THREADS];
static atomic(unsigned) disposition;				   /* 1: the handler, 0: the default action */
static atomic(unsigned) readable[SUBSCRIPTIONS];		   /* their eventfds */
static void (*handler)(int signo, siginfo_t *info, void *context); /* constant once it was installed */
static unsigned pending[EXPLORE_THREADS], sent, fetched[SUBSCRIPTIONS], died;
static bool handling[EXPLORE_THREADS];

struct thread *thread_self(void)
{
	return &threads[explore_self()];
}

/* Each thread has its own; what is outside of them has the last one. */
int *__errno_location(void)
{
	static int errors[EXPLORE_THREADS + 1];
	unsigned me = explore_self();

	return &errors[me < EXPLORE_THREADS ? me : EXPLORE_THREADS];
}

static int model_action(int signo, const struct sigaction *new, struct sigaction *old)
{
	unsigned now;

	EXPLORE_CHECK(signo == SIGUSR1);
	if (old)
		memset(old, 0, sizeof(*old));
	if (new) {
		if (new->sa_flags & SA_SIGINFO)
			handler = new->sa_sigaction;
		(void)xchg_acq_rel(&disposition, (new->sa_flags &SA_SIGINFO) != 0);
		return 0;
	}
	now = add_acq_rel(&disposition, 0);
	if (now) {
		old->sa_sigaction = handler;
		old->sa_flags = SA_SIGINFO;
	}
	return 0;
}

static ssize_t model_write(int fd, const void *buf, size_t size)
{
	(void)buf;
	(void)xchg_acq_rel(&readable[fd], 1);
	return (ssize_t)size;
}

static ssize_t model_read(int fd, void *buf, size_t size)
{
	(void)buf;
	return xchg_acq_rel(&readable[fd], 0) ? (ssize_t)size : -EAGAIN;
}

static int model_eventfd(unsigned initial, int flags)
{
	(void)initial, (void)flags;
	return (int)made - 1;
}

static int model_close(int fd)
{
	EXPLORE_CHECK(fd >= 0 && fd < SUBSCRIPTIONS);
	return 0;
}

struct sys_table hilo__sys = {
	.sigaction = model_action,
	.write = model_write,
	.read = model_read,
	.eventfd = model_eventfd,
	.close = model_close,
};

int hilo__sys_enter(enum sys_call call)
{
	(void)call;
	return 0;
}

size_t hilo__sys_shorten(enum sys_call call, size_t size)
{
	(void)call;
	return size;
}

int hilo_fd_wait(int fd, unsigned events, hilo_time deadline)
{
	EXPLORE_CHECK(events == HILO_READABLE && deadline == HILO_FOREVER);
	while (!load_acquire(&readable[fd]))
		cpu_relax();
	return HILO_READABLE;
}

void *hilo__calloc(size_t n, size_t size)
{
	EXPLORE_CHECK(n * size <= SIZE && made < SUBSCRIPTIONS);
	memset(&memory[made], 0, SIZE);
	return &memory[made++];
}

void hilo__free(void *p)
{
	explore_retire(p, SIZE);
}

int hilo_fail(int code, const char *format, ...)
{
	(void)format;
	return code;
}

const char *hilo_strerror(int code)
{
	(void)code;
	return "";
}

int hilo__error_own(int code)
{
	return code;
}

int hilo__sized_out(void *to, const void *from, size_t known, size_t least)
{
	(void)least;
	memcpy(to, from, known);
	return 0;
}

void hilo__debug_opened(struct debug_mark *mark, uint32_t runtime, enum debug_kind kind, const void *site)
{
	(void)mark, (void)runtime, (void)kind, (void)site;
}

void hilo__debug_ended(struct debug_mark *mark)
{
	(void)mark;
}

bool hilo__task_must_stop(struct hilo_task *task)
{
	(void)task;
	return false;
}

void hilo__leave_late(struct thread *self)
{
	(void)self;
}

/* The kernel delivers it to this thread, and again if it was raised meanwhile. */
static void deliver(void)
{
	unsigned me = explore_self();
	siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_USER};

	if (handling[me]) {
		pending[me]++;
		return;
	}
	do {
		pending[me] = 0;
		if (!add_acq_rel(&disposition, 0)) {
			died++; /* and so that it is counted goes on */
			continue;
		}
		handling[me] = true;
		handler(SIGUSR1, &info, NULL);
		handling[me] = false;
	} while (pending[me]);
}

int raise(int signo)
{
	EXPLORE_CHECK(signo == SIGUSR1);
	deliver();
	return 0;
}

static void setup_some(unsigned n)
{
	memset(&hilo__signals, 0, sizeof(hilo__signals));
	memset(threads, 0, sizeof(threads));
	memset(pending, 0, sizeof(pending));
	memset(handling, 0, sizeof(handling));
	memset(fetched, 0, sizeof(fetched));
	made = sent = died = 0;
	disposition = 0;
	for (unsigned i = 0; i < n; i++) {
		readable[i] = 0;
		EXPLORE_CHECK(hilo_signals_open((const int[]){SIGUSR1, 0}, &subscription[i]) == 0);
	}
}

static void setup_one(void)
{
	setup_some(1);
}

static void setup_two(void)
{
	setup_some(2);
}

static void fetch(unsigned i, unsigned wanted)
{
	while (fetched[i] < wanted) {
		hilo_signal_info info = {.size = sizeof(info)};

		EXPLORE_CHECK(hilo_signals_next(subscription[i], &info, HILO_FOREVER) == SIGUSR1);
		fetched[i] += info.missed ? info.missed : 1;
	}
}

static void fetches_two(void)
{
	fetch(0, 2);
}

static void fetches_three(void)
{
	fetch(0, 3);
}

static void is_signalled(void)
{
	deliver();
}

static void is_signalled_twice(void)
{
	deliver();
	deliver();
}

static void is_signalled_three_times(void)
{
	is_signalled_twice();
	deliver();
}

static void leaves(void)
{
	hilo_signals_free(subscription[0]);
}

static void second_fetches(void)
{
	fetch(1, 1);
}

static void finish_fetched(void)
{
	EXPLORE_CHECK(!died);
}

/* What was told to the one that has left is dropped with it. */
static void finish_left(void)
{
	EXPLORE_CHECK(!disposition && !load_relaxed(&hilo__signals.visitors)); /* relaxed: all have ended */
	EXPLORE_CHECK(died <= 1);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL_LONG(0, "signal_two", "T0 fetches two; T1 and T2 are sent one each", setup_one,
			   finish_fetched, fetches_two, is_signalled, is_signalled),
	EXPLORE_MODEL_LONG(0, "signal_full", "T0 fetches three, of which two can be kept; T1 is sent three",
			   setup_one, finish_fetched, fetches_three, is_signalled_three_times),
	EXPLORE_MODEL_LONG(2, "signal_full_two", "T0 fetches three; T1 is sent two, T2 one", setup_one,
			   finish_fetched, fetches_three, is_signalled_twice, is_signalled),
	EXPLORE_MODEL("signal_leave", "T0 leaves, the last; T1 is sent one", setup_one, finish_left, leaves,
		      is_signalled),
	EXPLORE_MODEL("signal_stay", "T0 leaves; T1 stays, and fetches one; T2 is sent it", setup_two,
		      finish_fetched, leaves, second_fetches, is_signalled),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
