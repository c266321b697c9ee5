/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_STREAM_IMPL_H
#define HILO_IO_STREAM_IMPL_H

/*
 * stream_impl.h - what a stream is made of, and what is below it.
 *
 *	readers, writers        wait for the stream; cancels and deadlines end their wait, and nothing else
 *	hilo_stream             two buffers, at most one receive and one send in flight
 *	transport               makes them: a descriptor, memory, TLS
 *
 * Everything is under the stream's lock but for what this says:
 *
 * I1  Who reads has claimed that (rx.reading). While no receive is in flight, and while he starts one, all of
 * rx.buffer
 *     is his, without the lock; else the receive writes behind its tail, which moves when it has completed. So the
 *     first rx.level bytes, as he has seen it, can be looked at without the lock in either case.
 * I2  Who has the turn to write (tx.turn) alone adds to what is to be sent, unless nobody has it and nobody waits for
 *     it. While he copies without the lock (tx.filling) tx.next is his.
 * I3  What is sent lies in tx.out, and stays there while tx.op. Who starts a send (tx.starting) is the only one to
 *     start another, until he has seen how it went: so who completes it meanwhile leaves that to him.
 * I4  busy counts what uses the transport: both operations, who asks it something, who stops an operation. Once the
 *     stream is DROPPED nothing new begins, and whoever takes busy to 0 closes the transport. An operation is stopped
 *     only if it was started and is not started again: of the receive that is seen to by the one who reads, at his
 *     end, of the send by the one who starts it; else by who drops the stream.
 * I5  refs counts the owner, both operations, and everybody inside of a call that has let go of the lock. Who takes it
 *     to 0 frees the stream, which is closed by then.
 *
 * Rejected: the operation of the one who reads. It would have to be ended when he is cancelled, and waited for, and
 * what it has received all the same would be put back. Rejected: to start an operation under the lock. The call that
 * is made may take as long as it likes, and the poller may complete others meanwhile, of this stream too.
 */
#include <hilo/io/stream.h>

#include <stdbool.h>

#include "runtime/contend_impl.h"
#include "runtime/debug_impl.h"
#include "runtime/io_impl.h"
#include "sync/won_impl.h"

#ifdef HILO_EXPLORE
#define STREAM_RX_INLINE 2
#define STREAM_TX_INLINE 2
#define STREAM_BUFFER_MIN 8
#else
/* In the stream itself, for small requests. More for those who read: a request is there while nobody looks. */
#define STREAM_RX_INLINE 688
#define STREAM_TX_INLINE 288
/* The first buffer outside of it, and the largest that a stream keeps for the next write. */
#define STREAM_BUFFER_MIN 4096
#endif
#define STREAM_LIMIT ((size_t)64 * 1024)
/* Bytes that are copied under the lock: about 50 ns. */
#define STREAM_LOCKED_COPY 2048

/*
 * The transport of a stream. A receive and a send are operations as in scheduler/poll_io.h: one of each at a time;
 * true: it has completed, with *@ret; false: up->received or up->sent is called, on any thread, once. What came of it
 * is a count, 0 for the end of a receive, or a negative errno; -EAGAIN, -EINTR and -ECANCELED: nothing was done.
 */
struct transport;

struct transport_ops {
	const char *name;
	/* [no lock] @later: it is known that it has to wait; a hint. */
	bool (*receive)(struct transport *transport, void *data, size_t size, bool later, ssize_t *ret);
	/* [no lock, instead of a receive] Without waiting: -EAGAIN. */
	ssize_t (*receive_now)(struct transport *transport, void *data, size_t size);
	/*
	 * [no lock, instead of a receive] Up to @size of the bytes that have come into @pipe, without waiting: how
	 * many; 0: the end; -EAGAIN: none has; -ENOMEM; -EOPNOTSUPP: not by this transport, or not these. May be NULL.
	 */
	ssize_t (*receive_pipe)(struct transport *transport, int pipe, size_t size);
	bool (*send)(struct transport *transport, const void *data, size_t size, ssize_t *ret);
	/*
	 * [has the turn, no lock, instead of a send] Up to @size of the bytes that are in @pipe, as many as there is
	 * room for without waiting: how many; -EAGAIN: there is no room; -EOPNOTSUPP: not by this transport. @size 0
	 * only asks that, also beside a send. May be NULL.
	 */
	ssize_t (*send_pipe)(struct transport *transport, int pipe, size_t size);
	/* [no lock, instead of a send] Without waiting: -EAGAIN. For what stands on it. */
	ssize_t (*send_now)(struct transport *transport, const void *data, size_t size);
	/* [no lock, both have been started, or are not in flight] They are to end soon. */
	void (*stop)(struct transport *transport, bool receive, bool send);
	/* [no lock, no send in flight or to come] The end of what is sent. */
	int (*shut)(struct transport *transport);
	/*
	 * [no lock, no send in flight or to come] Instead, if the end has to be sent itself, also before it is closed:
	 * an operation as a send, which completes as one, of no bytes. May be NULL.
	 */
	bool (*end)(struct transport *transport, ssize_t *ret);
	/* [lock] What that may take when it is closed, once all else is sent; if there is an end. */
	hilo_time (*end_limit)(const struct transport *transport);
	/* [no lock, nothing in flight or to come] Give back all but the memory of the transport. */
	void (*close)(struct transport *transport);
	/* [the last one] The memory, if it is not the stream's. */
	void (*free)(struct transport *transport);
	/* [no lock] What @key says, as text: its length, as snprintf; -ENOENT: nothing. May be NULL. */
	int (*info)(struct transport *transport, const char *key, char *buf, size_t size);
};

/* Who is above a transport: a stream; or TLS, which is a transport itself. */
struct transport_up {
	void (*received)(void *owner, ssize_t n, bool more);
	void (*sent)(void *owner, ssize_t n);
};

struct transport {
	const struct transport_ops *ops;
	const struct transport_up *up;
	void *owner;
	int fd; /* below it; -1: none */
	bool can_read, can_write, can_shut;
};

/* A descriptor. In the stream, and stays there when TLS has taken its place as the stream's transport. */
struct transport_fd {
	struct transport base;
	struct hilo_runtime *runtime; /* NULL: it has ended */
	struct hilo_loop *loop;	      /* one of its; NULL: not tied to it */
	struct tie tie;		      /* tells of its end */
	int adopted;		      /* the descriptor that was given, if another one is used; -1 */
	bool is_left;		      /* the kernel may use the stream's memory, for good */
	/* As it was made: */
	bool is_socket : 1;	/* RECV and SEND, else READ and WRITE */
	bool can_splice_in : 1; /* a pipe or a stream of bytes: splice(2) takes from it */
	bool is_own : 1;	/* a socket that was made here: nobody else has it */
	bool is_direct : 1;	/* neither waits, nor can be waited for: the calls are made at once */
	bool blocks : 1;	/* is waited for before each call, since O_NONBLOCK could not be had */
	struct poll_io in, out;
};

/* Bytes from head to tail. */
struct stream_buffer {
	char *data;
	size_t size, head, tail;
};

enum stream_state {
	STREAM_OPEN,
	STREAM_CLOSING, /* nobody reads or writes; what was written is sent */
	STREAM_DROPPED, /* nothing more is sent or received */
	STREAM_CLOSED,	/* the transport is closed */
};

struct stream_rx {
	struct stream_buffer buffer;
	size_t level;	    /* bytes in it, under the lock */
	struct list waiter; /* the one who reads, if he waits */
	size_t asked;	    /* bytes of the last receive */
	int error;
	bool reading; /* I1 */
	bool op;
	bool eof;
	bool filled;   /* the last receive has got all that it had asked for */
	bool later;    /* the next one has to wait, probably */
	uint8_t small; /* receives in a row that the stream's own buffer would have done for */
};

struct stream_tx {
	struct stream_buffer out, next; /* what is sent now, and then */
	size_t level;			/* of both */
	struct list writers;		/* who waits for the turn */
	struct list waiters;		/* who waits for less to be on its way, or the end */
	int error;
	bool op, starting; /* I3 */
	bool turn;	   /* I2 */
	bool filling;	   /* I2 */
	bool full;	   /* was above the high mark, and not down at the low one since */
	bool eof;	   /* nothing more is to come ... */
	bool shut;	   /* ... and the transport was told */
	bool ending;	   /* the operation in flight is its end */
	bool ended;	   /* that has completed */
};

struct hilo_stream {
	struct spinlock lock;
	atomic(uint8_t) state;	/* enum stream_state; only rises, under the lock */
	bool ending;		/* somebody closes the transport */
	uint32_t refs;		/* I5 */
	uint32_t busy;		/* I4 */
	atomic(uint32_t) ready; /* a read need not wait, probably; a hint */
	struct transport *transport;
	atomic(size_t) line; /* changes under the lock; who reads has a look without it: a mere limit */
	size_t high, low;
	struct stream_rx rx;
	struct stream_tx tx;
	struct transport_fd descriptor;
	struct debug_mark open;
	char rx_inline[STREAM_RX_INLINE];
	char tx_inline[STREAM_TX_INLINE];
};

#ifndef HILO_EXPLORE
/* A size that allocators have; with a task of one page a connection that waits takes 6 KiB. */
_Static_assert(sizeof(hilo_stream) <= 1536, "a stream is small");
#endif

/* stream_room.c: whether the ceiling of the memory of buffers is reached. Read by all, hardly ever written. */
struct stream_room {
	HILO__ISOLATED atomic(bool) over;
};

extern struct stream_room hilo__stream_room;

/* [any] So much more memory is that of buffers, or less. */
void hilo__stream_room_add(int64_t bytes);

/* [any] The ceiling is reached: have no more than you need. A hint. */
static inline bool stream_room_is_over(void)
{
	return HILO__UNLIKELY(load_relaxed(&hilo__stream_room.over)); /* relaxed: a hint */
}

/* What one who writes, drains, flushes or closes waits for. */
enum stream_wait {
	STREAM_WAIT_TURN,
	STREAM_WAIT_LOW,   /* not full */
	STREAM_WAIT_EMPTY, /* all was sent */
	STREAM_WAIT_SENT,  /* the same, of one who closes */
	STREAM_WAIT_SHUT,  /* then, so is the end that the transport has to send */
	STREAM_WAIT_END,   /* closed */
};

struct stream_waiter {
	struct contend_node node;
	struct contender contender;
	enum stream_wait what;
	int code;
};

/* [any] The longest piece, and what is read ahead at most. Who reads a piece goes by one look. */
static inline size_t stream_line(const hilo_stream *stream)
{
	/* relaxed: a number by itself, from before or after it was set */
	return load_relaxed(&((hilo_stream *)(uintptr_t)stream)->line);
}

static inline size_t buffer_level(const struct stream_buffer *buffer)
{
	return buffer->tail - buffer->head;
}

/* [lock] */
static inline enum stream_state stream_state(const hilo_stream *stream)
{
	/* relaxed: changes under the lock */
	return (enum stream_state)load_relaxed(&((hilo_stream *)(uintptr_t)stream)->state);
}

/* [any] A stream without a transport, as @opts, or NULL, says. 0, -EINVAL, -E2BIG, -ENOMEM. */
int hilo__stream_new(const char *call, const hilo_stream_opts *opts, const void *site, hilo_stream **ret);

/* [creator] It is never used: give its memory back. */
void hilo__stream_undo(hilo_stream *stream);

/*
 * [any] A stream over the connected socket @fd, which needs no look at it: from accept, or connect. @runtime is not
 * NULL; @site: where it was made, for reports. 0, and @fd is consumed; -ENOMEM.
 */
int hilo__stream_from_socket(int fd, struct hilo_runtime *runtime, const void *site, hilo_stream **ret);

/* [creator] @transport is below @stream from now on. */
void hilo__stream_attach(hilo_stream *stream, struct transport *transport);

/*
 * What stands on @below from now on, and has been given the @n bytes that came before; NULL: no memory, and nothing
 * was changed. Called without a lock; may not suspend.
 */
typedef struct transport *(*hilo__stream_wrap_fn)(struct transport *below, const char *bytes, size_t n,
						  void *arg);

/*
 * [task, plain thread; suspends] Put another transport in the place of the stream's, which stands on that; see
 * stream_replace.c. 0; -EBUSY: somebody reads; -ENOMEM; else as hilo_stream_write: nothing has changed.
 */
int hilo__stream_replace(hilo_stream *stream, hilo__stream_wrap_fn wrap, void *arg, hilo_time deadline);

/* [any] -EINVAL, with a message, for NULL; -ECANCELED: a cancel is set; 0. */
HILO__SHARED int hilo__stream_enter(const hilo_stream *stream, const char *call);

/*
 * [holds the lock, which is given back] Tell those who were won (@won may be NULL), close the transport and free the
 * stream, if it is time.
 */
void hilo__stream_unlock(hilo_stream *stream, struct list *won);

/* The same where it is open mostly: then it has its owner, and nothing is to be closed or freed. */
static inline void stream_unlock(hilo_stream *stream, struct list *won)
{
	if (HILO__UNLIKELY(stream_state(stream) != STREAM_OPEN)) {
		hilo__stream_unlock(stream, won);
		return;
	}
	spin_unlock(&stream->lock);
	if (!list_empty(won))
		won_tell(won);
}

/*
 * [holds the lock, is counted in refs; it is let go of and taken again, and those of @won are told] Drop the stream,
 * if it was not: who waits is won, nothing more is sent.
 */
void hilo__stream_drop(hilo_stream *stream, struct list *won);

/* [the same] Stop what is in flight, and is the caller's to stop: I4. */
void hilo__stream_stop(hilo_stream *stream, struct list *won, bool receive, bool send);

/* [holds the lock] What a call on a stream that is not open answers; 0: it is. */
static inline int stream_closed(const hilo_stream *stream)
{
	return HILO__UNLIKELY(stream_state(stream) != STREAM_OPEN) ? HILO_ECLOSED : 0;
}

/* stream_receive.c: reading, for those who look for something in what has come. On the caller's stack. */
struct stream_reader {
	hilo_stream *stream;
	const char *call;
	bool claimed;
};

static inline void stream_reader_init(struct stream_reader *reader, hilo_stream *stream, const char *call)
{
	reader->stream = stream;
	reader->call = call;
	reader->claimed = false;
}

/*
 * [any, suspends; returns with the lock held, which who has claimed holds before] Claim reading, if that was not
 * done, and wait until there are more than @have bytes. How many there are: more than @have, or, at the end of the
 * stream, as many as there are. Less than 0: a code, and as many are there as were. @want, or the limit, is how many
 * there may have to be before the reader can go on.
 */
HILO__SHARED ssize_t hilo__stream_fill(struct stream_reader *reader, size_t have, size_t want,
				       hilo_time deadline);

/* [any; returns with the lock] Claim reading. 0, or why not. */
int hilo__stream_claim(struct stream_reader *reader);

/* [reader, lock held, given back and taken again; suspends] Wait once for the receive in flight. 0, or why not. */
int hilo__stream_idle(struct stream_reader *reader, hilo_time deadline);

/*
 * [reader, lock held, given back and taken again; suspends] Nothing is in the buffer: wait until something is, but no
 * more than a page of what has come. 0: look; 1: there is, or it is over; or why not.
 */
int hilo__stream_await(struct stream_reader *reader, hilo_time deadline);

/*
 * [reader, lock held, given back and taken again; does not suspend] Up to @size bytes that come into @pipe: how many,
 * and there is memory to put them back; 0: look for what is in the buffer, the end, a failure; -EAGAIN: nothing is
 * there; -EINTR; -ENOMEM; -EOPNOTSUPP: not from this stream, or not these.
 */
ssize_t hilo__stream_receive_pipe(struct stream_reader *reader, int pipe, size_t size);

/*
 * [reader, lock held, given back and taken again] The first @size bytes of @pipe, which have come into that, behind
 * those in the buffer. Nothing was received, or waited for, since.
 */
void hilo__stream_put_back(struct stream_reader *reader, int pipe, size_t size);

/* [reader, lock held] The first @taken bytes are gone. */
HILO__SHARED void hilo__stream_take(struct stream_reader *reader, size_t taken);

/* [reader, lock held, given back] The end of reading: the first @taken bytes are gone. */
void hilo__stream_read_end(struct stream_reader *reader, size_t taken);

/* [reader, lock held; it is let go of if there is much] Copy the first @size bytes. */
void hilo__stream_copy(struct stream_reader *reader, void *to, size_t size);

/* [any] The code of a read that has failed, with a message; after hilo__stream_read_end. */
ssize_t hilo__stream_read_failed(const struct stream_reader *reader, ssize_t code);

/* [reader] The first byte. */
static inline const char *stream_bytes(const struct stream_reader *reader)
{
	return reader->stream->rx.buffer.data + reader->stream->rx.buffer.head;
}

/* [lock held] Nothing more is read: win who waits for it. */
void hilo__stream_rx_drop(hilo_stream *stream, struct list *won);

/*
 * sendfile.c: [any, suspends; no lock] Wait for the turn, and, if there is a @size, until all that was written is sent;
 * then have the transport send up to @size bytes of @pipe, as send_pipe says; else as hilo_stream_write, without a
 * message.
 */
ssize_t hilo__stream_send_pipe(hilo_stream *stream, int pipe, size_t size, hilo_time deadline);

/* stream_send.c: as far as others need it. */

/*
 * [lock held, counted in refs; it is let go of and taken again, @won are told] Send what there is, unless somebody
 * does.
 */
void hilo__stream_push(hilo_stream *stream, struct list *won);

/* [sole user of @buffer] Its memory, if it is not the stream's. */
void hilo__stream_tx_free(const hilo_stream *stream, const struct stream_buffer *buffer);

/* [lock held] Win those for whom it is time. */
void hilo__stream_serve(hilo_stream *stream, struct list *won);

/* [lock held] Nothing more is sent. */
void hilo__stream_tx_drop(hilo_stream *stream);

/* [lock held] The same, because sending has failed with @error. */
void hilo__stream_tx_fail(hilo_stream *stream, int error);

/* [has the turn, counted in refs, no lock] Give the turn to the next, and let go of the stream. */
void hilo__stream_turn_end(hilo_stream *stream);

/* [any, suspends; no lock] Wait for @what, see there. 0, or why not. */
HILO__SHARED int hilo__stream_wait(hilo_stream *stream, enum stream_wait what, hilo_time deadline);

/*
 * stream_replace.c, in steps, for who has something to say before the transports change places.
 *
 * [task, plain thread; suspends; no lock] Be the one who reads, as @reader, and has the turn to write; all that was
 * written before was sent. 0; -EBUSY: somebody reads; else as hilo_stream_write; with a message, in the name of @call.
 */
HILO__SHARED int hilo__stream_seize(struct stream_reader *reader, hilo_stream *stream, const char *call,
				    hilo_time deadline);

/* [has seized it; suspends; no lock] Wait until nothing is in flight, and exchange the transport. As above. */
HILO__SHARED int hilo__stream_exchange(struct stream_reader *reader, hilo__stream_wrap_fn wrap, void *arg,
				       hilo_time deadline);

/* [has seized it; no lock] Let others read and write again. */
HILO__SHARED void hilo__stream_let_go(struct stream_reader *reader);

/* stream_write.c: [has the turn; suspends; no lock] Write @size bytes. 0, or why not: some may have been taken. */
HILO__SHARED int hilo__stream_add(hilo_stream *stream, const void *data, size_t size, hilo_time deadline);

/*
 * [any, no lock] Write @size bytes, as many as are taken whole at most (64 KiB will do), without waiting, whether the
 * caller is cancelled or not. @size; -EAGAIN: it would have to wait; else as hilo_stream_write, without a message.
 */
ssize_t hilo__stream_write_now(hilo_stream *stream, const void *data, size_t size);

/* stream_send.c: [any, no lock] The turn: 0, and the caller is counted in refs; -EAGAIN: not now; or why not. */
int hilo__stream_try_turn(hilo_stream *stream);

/* stream_send.c: [any, no lock] Nobody writes until no more than the low mark is on its way, as if it had been more. */
void hilo__stream_hold(hilo_stream *stream);

/* stream_receive.c: [any, no lock] Reads end with HILO_ECLOSED once they have got what has come; writing goes on. */
void hilo__stream_read_no_more(hilo_stream *stream);

/* [sole owner] */
void hilo__stream_rx_fini(hilo_stream *stream);
void hilo__stream_tx_fini(hilo_stream *stream);

/* Completions of the transport of a stream. */
void hilo__stream_received(void *owner, ssize_t n, bool more);
void hilo__stream_sent(void *owner, ssize_t n);

#endif /* HILO_IO_STREAM_IMPL_H */
