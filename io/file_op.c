/* SPDX-License-Identifier: MIT */
/* file_op.c - operations that outlive those who wait for them: begun, waited for, left. See file_impl.h. */
#include "io/file_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/task.h>

#include <errno.h>

#include "runtime/contend_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"

/* Counters are in so many lines, each for some of the loops: else all workers would share one. */
#define SHARDS 16u

static struct {
	HILO__ISOLATED atomic(uint64_t) way[4];
	atomic(uint64_t) abandoned, ended;
} counts[SHARDS];

/* The threads of those who belong to no runtime, made once; who finds it acquires. */
static atomic(hilo_executor *) threads;

/* Those that were given up, chained by io.owner. */
static atomic(struct file_op *) kept;

static unsigned shard(void)
{
	const struct hilo_loop *loop = thread_self()->loop;

	return loop ? loop->index % SHARDS : SHARDS - 1;
}

void hilo__file_count(enum file_way way)
{
	(void)add_relaxed(&counts[shard()].way[way], 1); /* relaxed: a figure */
}

int hilo__file_failed(int rc, const char *call, const char *what)
{
	return rc == -ECANCELED ? hilo__error_own(rc)
				: hilo_fail(rc, "%s: %s: %s", call, what, hilo_strerror(rc));
}

struct file_op *hilo__file_op_new(size_t extra)
{
	struct file_op *op = hilo__malloc(sizeof(*op) + extra);

	if (!op)
		return NULL;
	memset(op, 0, sizeof(*op));
	completion_init(&op->done, 1);
	atomic_setup(&op->at, FILE_UNDER_WAY);
	return op;
}

static void op_free(struct file_op *op)
{
	if (op->drop && !op->taken)
		op->drop(op);
	if (op->keeps)
		hilo__file_free(op->keeps);
	hilo__free(op);
}

void hilo__file_op_unref(struct file_op *op)
{
	if (op && (!op->begun || completion_unref(&op->done)))
		op_free(op);
}

/* [who has made the call] It is done. The last touch of it. */
static void op_finish(struct file_op *op, int result)
{
	hilo_file *file = op->file;

	op->io.op.result = result;
	op->done.result = 0;
	if (xchg_acq_rel(&op->at, FILE_ENDED) == FILE_LEFT)   /* pairs with that of op_leave */
		(void)add_relaxed(&counts[shard()].ended, 1); /* relaxed: a figure */
	if (completion_set(&op->done))			      /* P2 */
		op_free(op);
	if (file)
		(void)hilo__file_leave(file, 0);
}

/* The kernel may still use what is in @op: it stays for ever, with what it points to, and can be found in a dump. */
static HILO__COLD void op_keep(struct file_op *op)
{
	struct file_op *next = load_relaxed(&kept); /* relaxed: only an expected value */

	completion_ref(&op->done);
	do
		op->io.owner = next;
	while (!cas_acq_rel(&kept, &next, op)); /* pairs with itself */
}

static void op_completed(struct poll_op *poll)
{
	struct file_op *op = container_of(poll, struct file_op, io.op);

	if (HILO__UNLIKELY(op->io.given_up))
		op_keep(op);
	op_finish(op, poll->result);
}

static int op_call(struct file_op *op)
{
	return op->call ? op->call(op) : hilo__poll_io_call(&op->io);
}

static int op_job(void *arg)
{
	return op_call(arg);
}

static void op_over(struct job *job)
{
	struct file_op *op = container_of(job, struct file_op, job);

	hilo__error_free(job->error);
	job->error = NULL;
	op_finish(op, job->result);
}

/* The executor of the caller. */
static int op_executor(hilo_executor **ret)
{
	static const hilo_executor_opts opts = {
		.size = sizeof(opts), .name = "hilo-files", .max_threads = 64};
	hilo_executor *made, *found;
	int rc;

	if (runtime_of_caller())
		return hilo_files_executor(ret);
	found = load_acquire(&threads); /* pairs with the CAS below */
	if (!found) {
		rc = hilo__executor_new(&opts, 1, false, &made);
		if (rc < 0)
			return rc;
		if (cas_acq_rel(&threads, &found, made)) /* pairs with itself, and with the load above */
			found = made;
		else
			hilo__executor_free(made);
	}
	*ret = found;
	return 0;
}

/* [its maker, suspends] To a thread. */
static int op_start_executor(struct file_op *op, hilo_time deadline)
{
	struct wait wait;
	int rc = op_executor(&op->executor);

	if (rc == 0)
		rc = hilo__wait_begin(&wait, WAIT_EXECUTOR_ROOM, op->executor, deadline);
	if (rc < 0)
		return rc;
	job_init(&op->job, op_job, op, op_over);
	op->job.locals = NULL; /* nobody keeps them for one that is left */
	op->way = FILE_EXECUTOR;
	rc = hilo__executor_put(op->executor, &op->job, &wait);
	hilo__wait_end(&wait);
	if (rc < 0) {
		hilo__error_free(op->job.error);
		op->job.error = NULL;
	}
	return rc;
}

/* [its maker, which refers to @op->file, as the operation does] Begin. */
static int op_begin(struct file_op *op, struct hilo_runtime *runtime, hilo_time deadline)
{
	int rc;

	if (!thread_self()->loop && deadline == HILO_FOREVER) {
		op->way = FILE_THREAD;
		op_finish(op, op_call(op));
		rc = 0;
	} else if (op->polls || (hilo__io_is_ring(runtime) && !op->call && !op->by_thread)) {
		op->way = FILE_RING;
		op->io.op.complete = op_completed;
		if (hilo__io_start(runtime, &op->io))
			op_finish(op, op->io.op.result);
		rc = 0;
	} else {
		rc = op_start_executor(op, deadline);
	}
	if (rc == 0)
		hilo__file_count(op->way);
	return rc;
}

int hilo__file_op_start(struct file_op *op, hilo_time deadline)
{
	struct thread *self = thread_self();
	struct hilo_runtime *runtime = hilo__io_runtime();
	int rc;

	if (self->loop ? !self->task : self->closing != NULL)
		return -EDEADLK;
	if (contend_is_interrupted(self))
		return -ECANCELED;
	rc = op->polls ? 0 : contend_try_on(self, deadline); /* what can be ended is tried once */
	if (rc < 0)
		return rc;
	if (op->file)
		(void)add_relaxed(&op->file->word, FILE_USER); /* relaxed: the caller is one, too */
	op->begun = true;
	completion_ref(&op->done); /* ours, while it may be done */
	rc = op_begin(op, runtime, deadline);
	if (HILO__LIKELY(rc == 0)) {
		hilo__file_op_unref(op);
		return 0;
	}
	(void)completion_unref(&op->done); /* not done, and never will be */
	op->begun = false;
	if (op->file)
		(void)hilo__file_leave(op->file, 0); /* not the last one */
	return rc;
}

/* Park until @op is done, or @file is being closed, or the wait is over. */
static int op_park(const struct file_op *op, const hilo_file *file, struct wait *wait)
{
	int rc = 0;

	while (!completion_is_done(&op->done) && rc == 0) {
		if (file && completion_is_done(&file->closing))
			return HILO_ECLOSED;
		rc = hilo__wait_park(wait);
	}
	return rc;
}

int hilo__file_op_wait(struct file_op *op, hilo_file *file, hilo_time deadline)
{
	struct waiter done, closed;
	struct wait wait;
	int rc;

	if (completion_is_done(&op->done)) /* P2 */
		return 0;
	rc = hilo__wait_begin(&wait, WAIT_FILE, file, deadline);
	if (rc < 0)
		return rc;
	done.task = closed.task = wait.task;
	done.call = closed.call = NULL;
	done.episode = closed.episode = wait.episode;
	if (hilo__completion_add(&op->done, &done)) {
		if (!file || hilo__completion_add(&file->closing, &closed)) {
			rc = op_park(op, file, &wait);
			if (file && waiter_is_linked(&closed))
				(void)hilo__completion_remove(&file->closing, &closed);
		} else {
			rc = HILO_ECLOSED;
		}
		if (waiter_is_linked(&done))
			(void)hilo__completion_remove(&op->done, &done);
	}
	hilo__wait_end(&wait);
	return completion_is_done(&op->done) ? 0 : rc; /* P2 */
}

/* [who has started it] Have it end, if that is possible. */
static void op_stop(struct file_op *op)
{
	if (op->way == FILE_RING)
		hilo__io_stop(&op->io);
	else if (op->way == FILE_EXECUTOR && hilo__executor_withdraw(op->executor, &op->job))
		op_finish(op, -ECANCELED);
}

bool hilo__file_op_is_left(const struct file_op *op)
{
	return load_relaxed(&((struct file_op *)(uintptr_t)op)->at) == FILE_LEFT; /* relaxed: a hint */
}

/*
 * [who has started it] The wait for it has ended with @rc: leave it. What it has answered, if it was done, or @rc.
 * What waits for somebody else, and not for a disk, does end, and what it has brought counts.
 */
static int op_leave(struct file_op *op, int rc)
{
	if (rc == -ETIMEDOUT && op->way == FILE_RING)
		hilo__poller_flush(op->io.poller); /* tried once */
	op_stop(op);
	/* pairs with that of op_finish, which sets done next */
	if (!op->polls && xchg_acq_rel(&op->at, FILE_LEFT) == FILE_UNDER_WAY) {
		(void)add_relaxed(&counts[shard()].abandoned, 1); /* relaxed: a figure */
		return rc;
	}
	(void)hilo_shield_enter();
	(void)hilo__file_op_wait(op, NULL, HILO_FOREVER);
	(void)hilo_shield_leave();
	return op->io.op.result == -ECANCELED || op->io.op.result == -EINTR ? rc : op->io.op.result;
}

bool hilo__file_op_again(struct file_op *op)
{
	int rc = op->io.op.result;
	/* Perhaps the call's own answer, perhaps a ring could not be made. */
	bool may_lack_ring = !op->polls && (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM);

	if (op->way != FILE_RING || op->io.given_up || (rc != -ECANCELED && rc != -EINTR && !may_lack_ring))
		return false;
	completion_init(&op->done, 1);
	store_relaxed(&op->at, FILE_UNDER_WAY); /* relaxed: its only user */
	op->by_thread = true;
	return true;
}

int hilo__file_op_run(struct file_op *op, hilo_file *file, hilo_time deadline)
{
	int rc;

	do {
		rc = hilo__file_op_start(op, deadline);
		if (rc < 0)
			return rc;
		rc = hilo__file_op_wait(op, file, deadline);
		if (rc < 0) {
			rc = op_leave(op, rc);
			op->taken = rc >= 0; /* it was done */
			return rc;
		}
	} while (HILO__UNLIKELY(hilo__file_op_again(op)));
	op->taken = true;
	return op->io.op.result;
}

int hilo_file_get_stats(hilo_file_stats *ret)
{
	hilo_file_stats now = {.size = sizeof(now)};
	uint64_t ended = 0;

	if (!ret)
		return hilo_fail(-EINVAL, "hilo_file_get_stats: ret is NULL");
	for (unsigned i = 0; i < SHARDS; i++) { /* relaxed: figures */
		now.at_once += load_relaxed(&counts[i].way[FILE_AT_ONCE_WAY]);
		now.ring += load_relaxed(&counts[i].way[FILE_RING]);
		now.executor += load_relaxed(&counts[i].way[FILE_EXECUTOR]);
		now.threads += load_relaxed(&counts[i].way[FILE_THREAD]);
		ended += load_relaxed(&counts[i].ended);
		now.abandoned += load_relaxed(&counts[i].abandoned);
	}
	now.lingering = now.abandoned > ended ? now.abandoned - ended : 0;
	return SIZED_OUT(hilo_file_stats, ret, &now, lingering);
}
