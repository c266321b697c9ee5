/* SPDX-License-Identifier: MIT */
/*
 * model_interrupt.c - the shipped interrupt.c: a signal whose handler is under way while a run begins or ends.
 *
 * Checked: each signal takes effect once: it cancels the main task of the run that it came in, or of the next one,
 * or is delivered with the default action. A handler is a thread here, as if the signal had come to one of the
 * application's. The kernel changes and looks at what is done with the signal in one order, that of one word.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/log.h>
#include <hilo/runtime/runtime.h>

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "runtime/interrupt_impl.h"
#include "runtime/log_impl.h"
#include "runtime/runtime_impl.h"
#include "tests/explore/explore.h"

/* T0 runs, the others are sent the signal. */
static struct hilo_runtime runtime;
static struct hilo_task records[2]; /* that T0 waits by, in its first run and in its second */
static hilo_task main_task;
static struct thread threads[EXPLORE_THREADS];
static atomic(unsigned) disposition; /* 1: the handler, 0: the default action */
static void (*handler)(int signo);   /* constant once it was installed */
static unsigned pending[EXPLORE_THREADS], sent, cancelled, died;
static bool handling[EXPLORE_THREADS];

struct thread *thread_self(void)
{
	return &threads[explore_self()];
}

/* What interrupt.c calls for sigaction. */
int model_sigaction(int signo, const struct sigaction *new, struct sigaction *old)
{
	unsigned now;

	EXPLORE_CHECK(signo == SIGINT && !(new &&old));
	if (new) {
		if (new->sa_handler != SIG_DFL)
			handler = new->sa_handler;
		(void)xchg_acq_rel(&disposition, new->sa_handler != SIG_DFL);
		return 0;
	}
	now = add_acq_rel(&disposition, 0);
	memset(old, 0, sizeof(*old));
	old->sa_handler = now ? handler : SIG_DFL;
	return 0;
}

/* The kernel delivers it to this thread, and again if it was raised meanwhile. */
static void deliver(void)
{
	unsigned me = explore_self();

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
		handler(SIGINT);
		handling[me] = false;
	} while (pending[me]);
}

int raise(int signo)
{
	EXPLORE_CHECK(signo == SIGINT);
	deliver();
	return 0;
}

void hilo__task_nudge(struct hilo_task *task)
{
	EXPLORE_CHECK(task == &records[0] || task == &records[1]);
}

int hilo__task_cancel(struct hilo_task *task, uint8_t reason)
{
	EXPLORE_CHECK(task == &main_task && reason);
	cancelled++;
	return 0;
}

int hilo_fail(int code, const char *format, ...)
{
	(void)format;
	return code;
}

void hilo__log(enum hilo_log_level level, const char *format, ...)
{
	(void)level, (void)format;
	explore_fail("a second signal was seen, and only one was sent");
}

int hilo_runtime_dump(const hilo_runtime *what, int fd)
{
	(void)what, (void)fd;
	return 0;
}

/* A run in which nothing happens: it brings what interrupt.c knows into the same state. */
static void setup(void)
{
	memset(threads, 0, sizeof(threads));
	memset(pending, 0, sizeof(pending));
	memset(handling, 0, sizeof(handling));
	memset(&runtime, 0, sizeof(runtime));
	disposition = 0;
	sent = 0;
	cancelled = 0;
	died = 0;
	hilo__interrupt_begin(&runtime);
	(void)hilo__interrupt_result(0);
	hilo__interrupt_end();
}

/* [T0] A run; @looks: its main thread sleeps once. */
static void run(int number, bool looks)
{
	struct thread *self = &threads[0];
	int rc = 0;

	self->task = &records[number];
	hilo__interrupt_begin(&runtime);
	hilo__interrupt_main(&main_task);
	if (looks) {
		unsigned before = cancelled;

		self->on_park();
		rc = cancelled > before ? -ECANCELED : 0;
	}
	rc = hilo__interrupt_result(rc);
	EXPLORE_CHECK(rc == 0 || rc == -EINTR);
	EXPLORE_CHECK(hilo__interrupt_has_ended_it() == (rc == -EINTR));
	hilo__interrupt_end();
}

static void runs(void)
{
	run(0, true);
}

static void runs_twice(void)
{
	run(0, false);
	run(1, true);
}

static void is_signalled(void)
{
	sent++;
	deliver();
}

static void finish(void)
{
	EXPLORE_CHECK(!disposition);
	EXPLORE_CHECK(cancelled + died == sent);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("interrupt_end", "T0 runs, looking once; T1 is sent a signal", setup, finish, runs,
		      is_signalled),
	EXPLORE_MODEL("interrupt_again", "T0 runs, then runs again, looking once; T1 is sent a signal", setup,
		      finish, runs_twice, is_signalled),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
