/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_CONN_IMPL_H
#define HILO_IO_CONN_IMPL_H

/*
 * conn_impl.h - a connection that calls back: a stream, the task that reads it and calls, and now and then one that
 * writes.
 *
 *	reader   reads, calls, sees to the end      conn_read.c
 *	callers  write; if the stream does not take it at once it waits in a queue for the
 *	writer   which is there while there is a queue, or `writable` is owed      conn_write.c
 *
 * I1  Everything that changes is under the lock but for what says otherwise. Nothing suspends, wakes or calls under it.
 * I2  Callbacks are called by who has `calling`, the reader or the writer. It is a lock of tasks: they may wait.
 * I3  `inside` counts those who use the stream: calls, and the writers from before they are spawned until they are
 *     gone. Nobody comes in once the connection is over, and the reader waits for those who are inside before he calls
 *     `lost`: after that a server has its client's stream back. Another stream is freed with the connection.
 * I4  There is one writer at most. What is put into the queue is seen by who serves, who looks under the lock before
 *     he stops; by one that is to begin (`starting`); or else by the one that who has put it there spawns, and counts
 *     under the same hold of the lock. If he cannot he takes it out again; should others have counted on that writer
 *     meanwhile the connection has failed. A writer is shielded: the end of its runtime does not drop the queue.
 * I5  Who writes directly, into the stream, has seen under the lock that nobody serves and nothing is queued, and is
 *     counted (`direct`) until he has written. Who begins to serve waits for those, who do not wait: so what one call
 *     has put into the queue, which goes in pieces, has nothing of another one in between.
 * P1  Giving a reference back releases, and the last one acquires: who frees it sees what all have done before.
 *
 * Rejected: one task that waits for bytes and for room at the same time. It needs a wait in two lists of the stream,
 * for what is rare, and costs each connection more than the second task costs the few. Rejected: to let the stream
 * grow without a limit. All who write to streams would pay for the look at it.
 */
#include <hilo/io/conn.h>
#include <hilo/sync/event.h>
#include <hilo/sync/mutex.h>
#include <hilo/sync/wait_group.h>

#include "io/stream_impl.h"

/* What could not be written at once. */
struct conn_chunk {
	struct list link;
	size_t size;
	char data[];
};

struct hilo_conn {
	struct spinlock lock;
	atomic(uint32_t) refs;
	hilo_stream *stream; /* I3 */
	struct hilo_runtime *runtime;
	hilo_conn_callbacks callbacks;
	hilo_mutex calling;	/* I2 */
	hilo_event begun;	/* `made` was called, or never will be */
	hilo_event wake;	/* the reader is to look again */
	hilo_wait_group inside; /* I3 */
	struct list queue;	/* chunks */
	size_t queued;		/* bytes of them, and of the one that is being written */
	size_t high;		/* as the stream's */
	unsigned starting;	/* I4 */
	unsigned direct;	/* I5 */
	int failure;		/* of the connection; the first */
	bool serving;		/* I4 */
	bool full;		/* `writable` is owed */
	bool owed;		/* and was promised by who does not start the writer: I4 */
	bool eof, eof_due;	/* the end was written; and waits for the queue */
	bool paused;		/* reading is */
	bool ended;		/* the other side has, or never writes */
	bool closing, aborted;
	bool over; /* I3 */
	bool owns; /* the stream is the connection's */
};

/* conn.c */

/* [any] Come in: 0, or HILO_ECLOSED, -EINVAL, with a message in the name of @call. Leave. I3 */
int hilo__conn_enter(hilo_conn *conn, const char *call);
void hilo__conn_leave(hilo_conn *conn);

/* [inside] The connection has failed with @code: the reader is to end it. */
void hilo__conn_fail(hilo_conn *conn, int code);

/* conn_write.c */

/* [reader, or the last one; nobody else is there] What is left in the queue. */
void hilo__conn_drop(hilo_conn *conn);

/* [any; @task runs, or is NULL] The stream of the connection whose writer @task is; NULL: it is none. */
const hilo_stream *hilo__conn_written_by(const struct hilo_task *task);

/* conn_read.c */

/* [reader, suspends] Call until it is over. */
void hilo__conn_run(hilo_conn *conn);

/* [reader, writer; suspends] Have the right to call, and give it back. I2 */
void hilo__conn_call_begin(hilo_conn *conn);
void hilo__conn_call_end(hilo_conn *conn);

#endif /* HILO_IO_CONN_IMPL_H */
