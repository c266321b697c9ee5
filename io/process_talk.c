/* SPDX-License-Identifier: MIT */
/*
 * process_talk.c - communication: input, output and errors at the same time, and a program from begin to end.
 *
 * Each of the three is a task of its own, in a group; what they have moved so far is kept by the process, so that one
 * that is stopped has lost nothing, and the next one goes on where it was.
 */
#include "io/process_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/group.h>

#include <errno.h>
#include <string.h>

#include "runtime/error_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/mem.h"

#define LIMIT_DEFAULT ((size_t)64 * 1024 * 1024)
#define ROOM_FIRST ((size_t)16 * 1024)

/* One communication. */
struct talk {
	struct hilo_process *process;
	const hilo_process_io *io;
	size_t limit;
	hilo_time deadline;
	int status;
};

/* Room for one byte more, and a NUL. */
static int text_grow(struct process_text *text)
{
	size_t room = text->room ? text->room * 2 : ROOM_FIRST;
	char *data;

	if (text->room - text->size > 1)
		return 0;
	data = hilo__malloc(room);
	if (!data)
		return -ENOMEM;
	if (text->size)
		memcpy(data, text->data, text->size);
	hilo__free(text->data);
	text->data = data;
	text->room = room;
	return 0;
}

/* Read stream @i to its end: 0, or why not; what was read stays. */
static int talk_read(struct talk *talk, int i)
{
	struct process_text *text = &talk->process->text[i];
	hilo_stream *stream = talk->process->stream[i];
	ssize_t n = 1;

	while (stream && !text->over && n > 0) {
		if (text->size > talk->limit)
			return hilo_fail(-EMSGSIZE,
					 "hilo_process_communicate: %s, process %d: more than %zu "
					 "bytes of %s",
					 talk->process->name, talk->process->pid, talk->limit,
					 i == 1 ? "output" : "errors");
		n = text_grow(text);
		if (n == 0)
			n = hilo_stream_read(stream, text->data + text->size, text->room - text->size - 1,
					     talk->deadline);
		if (n > 0)
			text->size += (size_t)n;
		text->over = n == 0;
	}
	return n < 0 ? (int)n : 0;
}

static int talk_err(void *arg)
{
	return talk_read(arg, 2);
}

static bool is_end_of_input(ssize_t rc)
{
	return rc == -EPIPE || rc == -ECONNRESET || rc == HILO_ECLOSED;
}

/* Write what is left of the input, and its end. That nobody reads it is no failure. */
static int talk_in(void *arg)
{
	struct talk *talk = arg;
	struct hilo_process *process = talk->process;
	const char *input = talk->io->input;
	ssize_t n = 0;

	while (process->fed < talk->io->input_size) {
		n = hilo_stream_write_some(process->stream[0], input + process->fed,
					   talk->io->input_size - process->fed, talk->deadline);
		if (n < 0)
			break;
		process->fed += (size_t)n;
	}
	if (n < 0 && !is_end_of_input(n))
		return (int)n;
	(void)hilo_stream_write_eof(process->stream[0]);
	return 0;
}

/* [task] All of it. */
static int talk_main(void *arg)
{
	struct talk *talk = arg;
	int rc;

	HILO_GROUP (group, &rc) {
		if (talk->process->stream[0])
			(void)hilo_group_spawn(group, talk_in, talk);
		if (talk->process->stream[2])
			(void)hilo_group_spawn(group, talk_err, talk);
		rc = talk_read(talk, 1);
		if (rc == 0)
			rc = hilo_process_wait(talk->process, &talk->status, talk->deadline);
	}
	return rc;
}

/* [task, plain thread; suspends] A plain thread has it done by a task. */
static int talk_run(struct talk *talk)
{
	struct hilo_process *process = talk->process;
	struct task_spec spec = {.entry = talk_main, .arg = talk};
	hilo_task *task;
	int rc;

	if (thread_self()->loop)
		return talk_main(talk);
	if (!process->stream[0] && !process->stream[1] && !process->stream[2])
		return hilo_process_wait(process, &talk->status, talk->deadline);
	if (!hilo__thread_record(thread_self()))
		return -ENOMEM;
	rc = hilo__submit(process->runtime, &spec, NULL, &task);
	return rc < 0 ? rc : hilo_join(task, HILO_FOREVER);
}

/* False: somebody else is in it. */
static bool talk_begin(struct hilo_process *process)
{
	bool talks;

	spin_lock(&process->lock);
	talks = process->talks;
	process->talks = true;
	spin_unlock(&process->lock);
	return !talks;
}

static void talk_end(struct hilo_process *process)
{
	spin_lock(&process->lock);
	process->talks = false;
	spin_unlock(&process->lock);
}

/* Hand over what was read. */
static void text_take(struct process_text *text, char **data, size_t *size)
{
	*data = text->data;
	*size = text->size;
	if (text->data)
		text->data[text->size] = '\0';
	text->data = NULL;
	text->size = text->room = 0;
}

static void texts_take(struct hilo_process *process, hilo_process_io *io)
{
	text_take(&process->text[1], &io->out, &io->out_size);
	text_take(&process->text[2], &io->err, &io->err_size);
}

static int talk_check(const hilo_process_io *io, const char *call)
{
	struct thread *self = thread_self();

	if (!io)
		return hilo_fail(-EINVAL, "%s: io is NULL", call);
	if (io->size < SIZED_END(hilo_process_io, err_size))
		return hilo_fail(-EINVAL, "%s: io->size is %zu", call, io->size);
	if (io->flags & ~HILO_COMMUNICATE_KILL || (!io->input && io->input_size))
		return hilo_fail(-EINVAL, "%s: flags %#x, input %p of %zu bytes", call, io->flags, io->input,
				 io->input_size);
	if (self->loop ? !self->task : self->closing != NULL)
		return hilo_fail(-EDEADLK, "%s: a callback cannot wait for it", call);
	return 0;
}

int hilo_process_communicate(hilo_process *process, hilo_process_io *io, hilo_time deadline)
{
	struct talk talk = {.process = process, .io = io, .deadline = deadline};
	int rc = process ? talk_check(io, "hilo_process_communicate")
			 : hilo_fail(-EINVAL, "hilo_process_communicate: process is NULL");

	if (rc < 0)
		return rc;
	if (contend_is_interrupted(thread_self()))
		rc = hilo__error_own(-ECANCELED);
	else if (!talk_begin(process))
		return hilo_fail(-EBUSY, "hilo_process_communicate: somebody else does");
	else {
		talk.limit = io->limit ? io->limit : LIMIT_DEFAULT;
		rc = talk_run(&talk);
		if (rc == 0) {
			io->status = talk.status;
			texts_take(process, io);
		}
		talk_end(process);
	}
	if (rc < 0 && io->flags & HILO_COMMUNICATE_KILL)
		(void)hilo__process_kill(process);
	return rc;
}

int hilo_process_take_output(hilo_process *process, hilo_process_io *io)
{
	int rc = process ? talk_check(io, "hilo_process_take_output")
			 : hilo_fail(-EINVAL, "hilo_process_take_output: process is NULL");

	if (rc < 0)
		return rc;
	if (!talk_begin(process))
		return hilo_fail(-EBUSY, "hilo_process_take_output: somebody communicates");
	texts_take(process, io);
	talk_end(process);
	return 0;
}

void hilo_process_io_free(hilo_process_io *io)
{
	if (!io)
		return;
	hilo__free(io->out);
	hilo__free(io->err);
	io->out = io->err = NULL;
	io->out_size = io->err_size = 0;
}

/* Talk to @process, and have it end in any case. */
static int process_run(hilo_process *process, hilo_process_io *io, hilo_time deadline)
{
	hilo_process_io talk = *io;
	bool shielded;
	int rc;

	talk.flags |= HILO_COMMUNICATE_KILL;
	rc = hilo_process_communicate(process, &talk, deadline);
	if (rc < 0) {
		shielded = hilo_shield_enter() == 0;
		if (hilo__process_kill(process) == 0)
			(void)hilo_process_wait(process, &talk.status, HILO_FOREVER);
		if (shielded)
			(void)hilo_shield_leave();
		(void)hilo_process_take_output(process, &talk);
	}
	talk.flags = io->flags;
	*io = talk;
	return rc;
}

int hilo_process_run(const char *const *argv, const hilo_process_opts *opts, hilo_process_io *io,
		     hilo_time deadline)
{
	hilo_process_opts mine = {.size = sizeof(mine)};
	hilo_process *process;
	int rc = opts ? SIZED_IN(hilo_process_opts, &mine, opts, end_signal) : 0;

	if (rc < 0)
		return rc;
	if (!io || io->size < SIZED_END(hilo_process_io, err_size))
		return hilo_fail(-EINVAL, "hilo_process_run: io is NULL, or its size is not set");
	rc = talk_check(io, "hilo_process_run");
	if (rc < 0)
		return rc;
	if (io->input)
		mine.in = HILO_STDIO_PIPE;
	else if (!opts)
		mine.in = HILO_STDIO_NULL;
	if (!opts)
		mine.out = mine.err = HILO_STDIO_PIPE;
	rc = hilo_process_spawn(argv, &mine, &process, deadline);
	if (rc < 0)
		return rc;
	rc = process_run(process, io, deadline);
	hilo_process_free(process);
	return rc;
}
