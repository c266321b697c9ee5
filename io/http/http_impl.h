/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_HTTP_HTTP_IMPL_H
#define HILO_IO_HTTP_HTTP_IMPL_H

/*
 * http_impl.h - what a connection is made of.
 *
 *	connection.c   one request after the other: head, route, handler, what is left of the body, answer, again
 *	head.c         finds the end of a head, and whether its lines are lines        fields.c  what the fields mean
 *	chunks.c       the framing of a body in chunks, beside the parser              body.c    reading bodies
 *	parser.c       the parser library's callbacks                                  message.c what handlers ask
 *	answer.c       heads and bodies of answers       file.c  files and ranges      refuse.c  answers of our own
 *	held.c         answers that wait for others
 *	router.c, match.c  routes                        target.c  escapes, the query  server.c  the server
 *	given.c        connections of hilo_http_serve    access.c the log
 *	arena.c        memory that goes with the request
 *
 * A connection is its task's alone, but for what says otherwise:
 *
 * I1  `state` is what others know of it. While IDLE the task waits for the first byte of a request, and who stops the
 *     server may tell it to end: TELLING while he does, TOLD afterwards. Only in TELLING is `limit` moved by him.
 * I2  `counts` are written by the task, and read by whoever wants the figures: relaxed both, each figure by itself.
 * I3  A server has references: the owner, and each connection. The last one frees it.
 *
 * The head of a request lies in one piece in `buf`, from `start` to `head_end`, and does not move while its handler
 * runs; texts are ended in place, over the byte that has ended them. What follows, up to `tail`, is its body and the
 * next requests: `at` is how far it was read.
 */
#include <hilo/http/server.h>
#include <hilo/runtime/loop.h>
#include <hilo/runtime/timeout.h>
#include <hilo/sync/wait_group.h>

#include <llhttp.h>
#include <stdbool.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/list.h"
#include "scheduler/base/lock.h"

#define HTTP_BUFFER 4096	 /* of a connection, at least: what one receive mostly brings */
#define HTTP_ROOM 2048		 /* at least, for chunks beside a head that does not move */
#define HTTP_OUT 1024		 /* of the connection itself, for the heads of answers */
#define HTTP_HELD (16 * 1024)	 /* bytes of answers that are held back to be sent with others */
#define HTTP_DISCARD (64 * 1024) /* bytes of a body that nobody wanted are read, to keep the connection */
#define HTTP_LINGER (1 << 20)	 /* bytes that are read and dropped after the last answer ... */
#define HTTP_LINGER_TIME                                                                                     \
	(2 * HILO_SECOND) /* ... so that the client can read it, which a reset would prevent */
#define HTTP_FIELDS 32	  /* of the connection itself */
#define HTTP_PARAMS 16
#define HTTP_PARTS 64	       /* of a path */
#define HTTP_PAIRS 256	       /* of a query */
#define HTTP_BLANKS 4	       /* empty lines before a request that are passed over */
#define HTTP_ADDED (64 * 1024) /* bytes of fields that a handler adds */

/* ---- arena.c ---- */

/* Memory that is given back all at once. What is in `first` is there without asking for any. */
struct arena {
	struct arena_block *blocks;
	size_t used, size;
	char *at;
	_Alignas(max_align_t) char first[512];
};

void hilo__http_arena_init(struct arena *arena);
void hilo__http_arena_reset(struct arena *arena);
/* Aligned for anything; NULL: no memory. */
void *hilo__http_arena_alloc(struct arena *arena, size_t size);
/* The same for a text of @length bytes, and a NUL. */
char *hilo__http_arena_text(struct arena *arena, const char *text, size_t length);

/* Bytes that are added at the end. */
struct text {
	char *data;
	size_t used, size;
	char *own; /* what `data` is while there is little of it, `own_size` bytes */
	size_t own_size;
};

void hilo__http_text_init(struct text *text, char *own, size_t size);
void hilo__http_text_reset(struct text *text); /* gives back what it was given */
/* Where @size bytes can be added; NULL: no memory. */
char *hilo__http_text_room(struct text *text, size_t size);

/* ---- The request ---- */

struct field {
	const char *name, *value;
	uint32_t name_length, value_length;
};

struct pair {
	const char *name, *value;
};

enum body {
	BODY_NONE,
	BODY_LENGTH,
	BODY_CHUNKED,
};

/* Where the framing of chunks is. */
enum framing {
	FRAMING_SIZE, /* the digits of a size */
	FRAMING_EXT,  /* what may follow them */
	FRAMING_DATA, /* data, up to the line that ends them */
	FRAMING_TRAILER,
	FRAMING_END,
	FRAMING_BAD,
};

enum answer_phase {
	ANSWER_NONE,
	ANSWER_BEGUN,
	ANSWER_DONE,
};

/* Begins anew with each request; in its connection. */
struct hilo_http_request {
	/* The head. */
	char *method, *target, *path, *query;
	const char *host;
	uint32_t method_length, target_length, path_length, query_length;
	unsigned n_fields;
	int version;
	bool has_host, keep, expects;
	bool head; /* HEAD */
	const struct route *route;
	int missing;	   /* without a route: what is answered, unless a hook does, ... */
	const char *allow; /* ... and the methods that there are */
	struct pair param[HTTP_PARAMS];
	unsigned n_params;
	struct pair *pairs; /* of the query, once it was asked for */
	unsigned n_pairs;
	bool queried, too_many_pairs;

	/* The body. */
	enum body body;
	uint64_t length, left; /* BODY_LENGTH */
	bool body_done, body_failed, reading;
	hilo_time body_deadline; /* 0: not begun */
	int refusal;		 /* the status that says what has gone wrong with it; 0 */
	char *into;		 /* where the parser puts data */
	size_t into_size;
	const char *framed; /* up to where the framing was looked at */
	enum framing framing;
	bool framing_cr, size_seen, size_zero;
	uint64_t framing_bytes, received;
	size_t line_bytes;
	unsigned n_trailers;
	struct field *trailer;		    /* of the arena */
	size_t partial_name, trailer_bytes; /* of the field that is put together, of all */
	bool in_value;

	/* The answer. */
	enum answer_phase phase;
	int status;
	bool chunked, ends; /* in chunks; up to the end of the connection */
	bool bodiless;	    /* HEAD, 204, 304 */
	bool close;	    /* asked for */
	uint64_t announced, sent;
	hilo_time begin;
};

enum connection_state {
	CONNECTION_BUSY,
	CONNECTION_IDLE,
	CONNECTION_TELLING,
	CONNECTION_TOLD,
};

struct counts {
	atomic(uint64_t) requests, answers[6], received, sent, failed;
};

struct connection {
	struct hilo_http_server *server;
	hilo_stream *stream;
	hilo_address peer;
	bool has_peer;
	bool broken; /* the stream has failed, or what was sent is not whole: no further request */
	int failure; /* of the stream, that a handler may return */

	char *buf;
	size_t size, start, head_end, at, tail;
	size_t line, scan; /* of the head: where the line that is looked at begins, and how far */
	unsigned lines, blanks;

	llhttp_t parser;
	struct field *field; /* `own_field`, or more */
	size_t field_size;
	bool overflow; /* there was no room for a field */
	bool trailing; /* fields that come are those of a trailer */

	struct text out;  /* what is to be sent; who may touch it is told by ... */
	atomic(int) held; /* ... this: held.c */
	size_t whole;	  /* bytes of `out` before the head of the answer that has begun */
	hilo_call_node call;
	struct text added, trailers; /* fields of the handler's, as they are sent */
	struct text partial;	     /* a trailer field that comes in pieces */
	struct arena arena;
	uint64_t n_requests;
	int64_t date_second;
	char date[30];
	hilo_time first_byte; /* of the request that comes */

	hilo_timeout limit; /* I1 */
	bool limited;	    /* it was entered */
	hilo_time deadline; /* of the whole connection */
	atomic(int) state;
	struct list link;
	struct counts counts; /* I2 */

	struct hilo_http_request request;
	struct field own_field[HTTP_FIELDS];
	char own_out[HTTP_OUT];
	char own_added[256];
};

struct hilo_http_server {
	struct spinlock lock;
	uint32_t refs;	  /* I3 */
	struct list link; /* of all servers that listen, by their ... */
	uint64_t number;
	struct hilo_http_router *router;
	hilo_http_opts opts;
	hilo_server *below;
	hilo_runtime *runtime;
	hilo_time drain, grace;
	atomic(bool) stopping;
	struct list connections;
	size_t n_connections;
	uint64_t turned_away;
	atomic(uint64_t) lost_lines;
	struct counts ended; /* of those that are gone; under the lock */
	struct list given;
	hilo_wait_group serving; /* those that are given */
};

static inline struct connection *request_connection(const hilo_http_request *request)
{
	return (struct connection *)((uintptr_t)request - offsetof(struct connection, request));
}

/* Locks of a few instructions. That of base/lock.h waits in a function that the library below does not show. */
static inline void http_lock(struct spinlock *lock)
{
	for (unsigned round = 0; !spin_trylock(lock); round++)
		spin_pause(round);
}

static inline void http_unlock(struct spinlock *lock)
{
	spin_unlock(lock);
}

static inline hilo_time sooner(hilo_time a, hilo_time b)
{
	return a < b ? a : b;
}

/* [task of the connection] Add to one of its counts. */
static inline void count(atomic(uint64_t) * figure, uint64_t n)
{
	store_relaxed(figure, load_relaxed(figure) + n); /* relaxed: I2 */
}

/* ---- head.c ---- */

/* Bytes that a token may have; those of a field's value. */
extern const unsigned char hilo__http_token[256];
bool hilo__http_is_token(const char *text, size_t length);
bool hilo__http_is_value(const char *text, size_t length);

/* End the value before the spaces that it ends with. */
void hilo__http_field_trim(struct field *field);

/* Begin to look for the head of a request, at `at`. */
void hilo__http_head_begin(struct connection *c);
/* Look at what has come: 1: the head is there, up to `head_end`; 0: not yet; else the status to refuse it with. */
int hilo__http_head_scan(struct connection *c);
/* Read it: 0, or the status to refuse it with. */
int hilo__http_head_parse(struct connection *c);

/* ---- fields.c ---- */

/* What the fields say of the connection and the body: 0, or the status to refuse it with. */
int hilo__http_fields_check(struct connection *c);
/* The target: 0, or the status. */
int hilo__http_target_check(struct connection *c);

/* ---- parser.c ---- */

void hilo__http_parser_init(struct connection *c);

/* ---- chunks.c ---- */

/* Look at bytes of the body that are no data. False: malformed. */
bool hilo__http_framing_check(struct hilo_http_request *request, const char *bytes, size_t n, size_t most);

/* ---- body.c ---- */

/* Have room for the chunks behind the head, before its texts are given to anybody. 0, -ENOMEM. */
int hilo__http_body_begin(struct connection *c);
/* [suspends] Nobody wants what is left: read it, if it is little. False: the connection cannot go on. */
bool hilo__http_body_discard(struct connection *c);
/* [suspends] Read what there is, into the room behind `tail`. As hilo_stream_read; -ENOBUFS: there is no room. */
ssize_t hilo__http_receive(struct connection *c, hilo_time deadline);
/* Have room for the next receive; `start` and all behind it may move. 0, -ENOMEM. */
int hilo__http_room(struct connection *c);

/* ---- target.c ---- */

/* Decode %NN, and '+' if @plus, from @from to @to, which may be the same: the length, or -1: malformed, or a NUL. */
ssize_t hilo__http_decode(const char *from, size_t length, char *to, bool plus);

/* ---- router.c, match.c ---- */

#define HTTP_METHODS 16 /* of one pattern */

struct route {
	char *method;
	hilo_http_fn handler;
	void *arg;
	unsigned n_names;
	char **name; /* of the parts that stand for others */
};

/* A part of patterns, and what may follow it. */
struct node {
	struct node *next;		 /* beside it */
	struct node *parts, *any, *rest; /* below it: by name, {name}, {name...} */
	struct route *routes[HTTP_METHODS];
	unsigned n_routes;
	size_t length;
	char text[];
};

struct hook {
	hilo_http_fn fn;
	void *arg;
};

struct hilo_http_router {
	struct spinlock lock;
	uint32_t refs;
	bool used; /* by a server: nothing is added any more */
	struct node *root;
	struct hook *hooks;
	unsigned n_hooks;
};

void hilo__http_router_use(struct hilo_http_router *router);
/*
 * Find what answers the request: its route. Else NULL, and the status in *@status: 200 for OPTIONS that nobody answers,
 * 400, 404, 405, 500; with the methods that there are in *@allow, of the arena.
 */
const struct route *hilo__http_match(struct connection *c, int *status, const char **allow);

/* ---- answer.c ---- */

/* [suspends] Send what is held back, and @n bytes more. 0, or the stream's failure. */
int hilo__http_flush(struct connection *c, const void *data, size_t n, hilo_time deadline);
/*
 * [task of the connection] Send the whole answers that are held back, as far as that needs no waiting, also when the
 * task is cancelled: it was said of them that they are answered. What is behind them is dropped, if they could be sent.
 */
void hilo__http_out_rescue(struct connection *c);
/* A field as it is sent, at the end of @text; checked. */
int hilo__http_field_add(const char *call, struct text *text, const char *name, const char *value);
/* Write the head of an answer to `out`. @length as of hilo_http_begin. 0, -ENOMEM. */
int hilo__http_head_write(hilo_http_request *request, int status, const char *type, uint64_t length);
/* Check what begins an answer. */
int hilo__http_begin_check(const char *call, const hilo_http_request *request, int status, uint64_t length);
/* The date, as it is sent. */
const char *hilo__http_date(struct connection *c);
/* Whether more of what the client has sent lies behind this request. */
bool hilo__http_more(const struct connection *c);

/* ---- held.c ---- */

/* [task of the connection] `out` is ours from now on, until it is given. */
void hilo__http_out_take(struct connection *c);
/* [task of the connection] What is in `out` is to be sent with what follows, or as soon as we wait for something. */
void hilo__http_out_give(struct connection *c);
/* [task of the connection, last] No callback will come any more. */
void hilo__http_out_end(struct connection *c);

/* ---- refuse.c ---- */

/* Answer with @status and a line of text, in the server's own name; @allow is NULL, or the methods. */
void hilo__http_answer_plain(hilo_http_request *request, int status, const char *allow);

/* ---- access.c ---- */

/* The request is over. */
void hilo__http_account(struct connection *c);

/* ---- connection.c ---- */

/* [task, suspends] As hilo_http_serve. */
int hilo__http_connection(struct hilo_http_server *server, hilo_stream *stream, hilo_time deadline);

/* ---- given.c ---- */

/* [task, suspends] As hilo_http_serve. */
int hilo__http_given_serve(struct hilo_http_server *server, hilo_stream *stream, hilo_time deadline);
/* [any] Have the calls that are under way end with HILO_ECLOSED. */
void hilo__http_given_cancel(struct hilo_http_server *server);
/* [any] The caller is in one of them. */
bool hilo__http_given_is_mine(struct hilo_http_server *server);
/*
 * [any, suspends] @server is stopped: wait for them up to @deadline, cancel and abort what is left, add to *@counts.
 * What the wait ended with: 0, -ETIMEDOUT, -ECANCELED; else nothing was done but the wait that has failed.
 */
int hilo__http_given_close(struct hilo_http_server *server, hilo_server_counts *counts, hilo_time deadline);

/* ---- server.c ---- */

void hilo__http_server_unref(struct hilo_http_server *server);
/* Add the figures of @from to those of @to, which is the caller's alone. */
void hilo__http_counts_add(struct counts *to, struct counts *from);

#endif /* HILO_IO_HTTP_HTTP_IMPL_H */
