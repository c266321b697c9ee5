/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_HTTP_CLIENT_CLIENT_IMPL_H
#define HILO_IO_HTTP_CLIENT_CLIENT_IMPL_H

/*
 * client_impl.h - what sessions, transfers and responses are made of.
 *
 *	hilo_http_session   libcurl's multi handle, and a loop whose callbacks alone use it
 *	keeper              a task of the session that ends it: when it is told to, or when its runtime ends
 *	transfer            libcurl's easy handle: one request and its answer; a redirect is the next one
 *	hilo_http_response  the last transfer, for who has asked
 *
 * I1  The multi handle, the easy handles that are in it, `waiting` to `due` below belong to callbacks of
 *     the loop. An easy handle belongs to who has made it before its transfer is posted, and again after it is done.
 * I2  Who wants something of the loop posts the transfer (`ops`, under the session's lock), and queues the session's
 *     one callback under the same lock, which says that the session is open: after it is closed none is queued.
 * I3  The keeper is the last of the session in its runtime: it waits, shielded, until a callback has ended all. So
 *     there are callbacks as long as there is something to do for them. Before it has begun nothing was given to
 *     libcurl.
 * I4  Under a transfer's lock is all that both sides change. The header is the loop's until `header_done`, then nobody
 *     changes it; the trailers are until `done`. The loop alone moves `tail` and the data, so that the place behind
 *     is its own, without the lock; after `done` that is for who reads.
 * I5  References on a transfer: its response, or the fetch; the loop, from posting to the end; its body's task. On a
 *     session: its owner, its keeper, each transfer. Who wakes somebody has one, so that the event is still there.
 * I6  Who gives a task to the session's runtime from outside of it counts himself in `submitting`, under the lock,
 *     while the session is starting or open. Who ends that, which is the keeper, or who could not start it, sets the
 *     state under the lock, and then waits until nobody is counted, before he lets the runtime end. The task is not
 *     given under the lock: that asks for memory, may wake a thread, and calls functions of the user's
 *     (hilo_task_hooks).
 * P2  Leaving releases, who waits for it acquires: what the other one did with the runtime has happened.
 *
 * Rejected: a multi handle for each worker. What a session limits and keeps, connections, cookies, sessions of TLS,
 * would be in as many pieces, and requests for one host would find the connections of another loop in use. Rejected: a
 * task that drives libcurl, woken by watches. It would be a change of stack for each event, and on a stack of its own
 * that would have to be large enough for all of libcurl and OpenSSL; callbacks are on a thread's.
 */
#include <hilo/http/client.h>
#include <hilo/runtime/loop.h>
#include <hilo/sync/event.h>
#include <hilo/sync/semaphore.h>

#include <stdbool.h>

#include <curl/curl.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/compiler.h"
#include "scheduler/base/list.h"
#include "scheduler/base/lock.h"

/* Bytes of a redirect's body that are read so that its connection can be kept. */
#define DISCARD_MAX ((size_t)64 * 1024)
/* Bytes that a body's function is asked for at a time. */
#define SEND_SIZE ((size_t)32 * 1024)

enum session_state {
	SESSION_NEW,
	SESSION_STARTING, /* the keeper was spawned */
	SESSION_OPEN,
	SESSION_CLOSING, /* a callback will end all */
	SESSION_CLOSED,
};

/* What is asked of the loop. */
enum op {
	OP_START = 1,
	OP_ABORT = 2,
	OP_RESUME = 4, /* what is not paused any more goes on */
};

/* Options, as they are after their defaults. Texts are the session's. */
struct settings {
	struct curl_slist *headers;
	struct curl_slist *usual; /* these and ours, for requests that have none of their own */
	char *user_agent, *proxy, *no_proxy;
	char *ca_file, *ca_folder, *cert_file, *key_file, *passphrase;
	char *proxy_host;
	unsigned proxy_port;
	unsigned flags, redirects, connections, host_connections;
	int version;
	hilo_time connect_time, total_time;
	size_t buffer, header;
};

struct hilo_http_session {
	struct settings set;
	hilo_runtime *runtime;
	atomic(uint32_t) refs;
	hilo_semaphore room; /* for transfers that are given to libcurl; drive.c */
	bool limited;	     /* ... and it counts */
	CURLSH *share;
	struct spinlock share_lock[CURL_LOCK_DATA_LAST];

	struct spinlock lock;
	enum session_state state; /* under it, and: */
	struct list posted;
	hilo_runtime *home;	     /* the keeper's, from STARTING on; there as long as it is OPEN, or I6 */
	atomic(unsigned) submitting; /* I6, P2 */
	hilo_loop *loop;
	hilo_call_node work;
	hilo_event told, ended; /* to close; closed */
	uint64_t transfers, failed, connections, running;
	CURL *spare[64]; /* that serve no transfer, and have no options but the share */
	unsigned n_spare;

	/* I1 */
	CURLM *multi;
	struct list waiting; /* until libcurl is given them; drive.c */
	struct list live, broken, socks;
	unsigned given, sharing; /* how many libcurl has; and how many of all may share a connection */
	hilo_handle *timer;
	hilo_time timer_at, armed_at;
	bool due; /* libcurl wants to be called at once */
};

/* Pairs of texts, name and value, one after the other. */
struct fields {
	char *text;
	size_t used, size;
	size_t count;
};

/* What a reader waits for. */
enum want {
	WANT_HEADER,
	WANT_DATA,
	WANT_ALL,
	WANT_END,
};

struct transfer {
	struct hilo_http_session *session; /* a reference */
	atomic(uint32_t) refs;
	CURL *easy;
	struct curl_slist *headers, *names;
	char error[CURL_ERROR_SIZE]; /* the loop's until done */

	unsigned ops; /* under the session's lock, with ... */
	struct list posted;
	bool running;		  /* ... and counted there */
	struct list live, broken; /* the loop's; `live` is in the session's `waiting` before */
	bool given;		  /* the loop's: libcurl has it */
	bool shares;		  /* fixed: it may be HTTP/2 */

	int status, version; /* I4: with the header */
	bool follow;	     /* fixed: a redirect is nothing to stop at */
	struct fields header, trailers;

	struct spinlock lock; /* of what follows; not beside bools, of which compilers read several at once */
	hilo_event event;     /* for who waits */
	bool header_done, done, abandoned;
	bool discard; /* what comes is not for the response */
	bool paused_in, paused_out;
	bool reading, waiting;
	enum want want;
	size_t limit; /* of WANT_ALL */
	bool permit;  /* it has one of session->room */
	bool expired; /* it took too long, and was abandoned */
	int rc;	      /* of all, once it is done */
	int failure;  /* what a callback has failed with */
	char why[128];
	size_t window, discarded;
	char *data;
	size_t size, head, tail;

	/* The body, if a task sends it. */
	hilo_http_body_fn read;
	void *arg;
	void (*end)(void *arg);
	uint64_t length; /* what it is to give; 0: whatever it has */
	hilo_task *task;
	char *out; /* what libcurl takes, from out_at to out_end */
	size_t out_at, out_end;
	bool out_eof, out_waiting;
	hilo_event room;
};

struct hilo_http_response {
	struct transfer *transfer;
	char *method, *url;
	unsigned redirects;
	hilo_time limit; /* of the whole request */
};

/* Where a request goes. */
struct target {
	char *url; /* libcurl's, and so on */
	char *scheme, *host;
	unsigned port;
	char *user, *password;
};

/* A request under way, in the frame of who makes it. */
struct fetch {
	struct hilo_http_session *session;
	const hilo_http_fetch_opts *opts;
	struct target target;
	char *names; /* what CURLOPT_RESOLVE is told; NULL: nothing */
	const char *method;
	bool body;    /* it has one */
	bool foreign; /* it has left where it was to go at first */
	bool sent;    /* the body's argument is its task's */
	unsigned flags, redirects, hops;
	hilo_time total; /* for the whole request */
	hilo_time limit; /* for its header */
};

/* ---- session.c ---- */
/* [any] Read options, as hilo__sized_in of the library below. */
int hilo__client_sized_in(void *to, size_t known, size_t least, const void *from, const char *name);
void hilo__client_session_unref(struct hilo_http_session *session);
/* [any] Have the loop do @ops for @t. HILO_ECLOSED, -EDEADLK (no runtime), -ENOMEM. */
int hilo__client_post(struct transfer *t, unsigned ops);
/*
 * [plain thread; a transfer was posted] As hilo_submit, to the runtime that serves the session: which does not end
 * meanwhile (I6). HILO_ECLOSED, -ENOMEM.
 */
int hilo__client_submit(struct hilo_http_session *session, hilo_task_fn entry, void *arg,
			const hilo_task_opts *opts, hilo_task **ret);

/* ---- drive.c ---- */
/* [session_new] The callbacks of session->multi. */
int hilo__client_drive_init(struct hilo_http_session *session);
/* [loop] Do what was posted. */
void hilo__client_work(void *session);

/* ---- receive.c ---- */
size_t hilo__client_on_header(char *data, size_t size, size_t n, void *transfer);
size_t hilo__client_on_body(char *data, size_t size, size_t n, void *transfer);
/* The first value of @name; NULL. */
const char *hilo__client_field(const struct fields *fields, const char *name);
bool hilo__client_field_at(const struct fields *fields, size_t index, const char **name, const char **value);
/* [any, suspends] Wait until there is what is wanted, or the transfer is done. 0, -ETIMEDOUT, -ECANCELED ... */
int hilo__client_wait(struct transfer *t, enum want want, hilo_time deadline);
/* [loop] It has ended, with @rc. Gives back the loop's reference. */
void hilo__client_complete(struct transfer *t, int rc);
/* [loop, lock not held] A callback fails it with @rc. */
void hilo__client_fail(struct transfer *t, int rc, const char *why);

/* ---- send.c ---- */
size_t hilo__client_on_send(char *data, size_t size, size_t n, void *transfer);
/* [any, posted] Begin to call the body's function. 0, -ENOMEM, HILO_ECLOSED, -EDEADLK. */
int hilo__client_send_start(struct transfer *t, const hilo_http_fetch_opts *opts);
/* [any] Nobody takes what it gives any more. */
void hilo__client_send_stop(struct transfer *t);

/* ---- transfer.c ---- */
int hilo__client_transfer_new(const struct fetch *fetch, struct transfer **ret);
void hilo__client_transfer_unref(struct transfer *t);
/* [any] Give back its permit, if it has one. */
void hilo__client_release(struct transfer *t);
/* [any] Nobody wants it any more. */
void hilo__client_abandon(struct transfer *t);

/* [any] Add @headers to *@list; if @foreign without those that are for the first host alone. -EINVAL, -ENOMEM. */
int hilo__client_headers(struct curl_slist **list, const hilo_http_header *headers, size_t n, bool foreign);
/*
 * [session_new] The fields of usual requests. The two of ours libcurl would write by itself, letter by letter and twice
 * for each request: a tenth of all its work.
 */
int hilo__client_usual(struct settings *set);
/* Whether @text can be a field's value: without control characters. */
bool hilo__client_is_value(const char *text);
/* [any] What libcurl is to do for @fetch. */
int hilo__client_setup(struct transfer *t, const struct fetch *fetch);

/* ---- target.c ---- */
/*
 * [any] What @url says, which may be relative to @base, unless that is NULL. 0, -EINVAL, -EPROTONOSUPPORT, -ENOMEM,
 * with a message.
 */
int hilo__client_target_parse(const char *base, const char *url, struct target *ret);
void hilo__client_target_free(struct target *target);
/* The same scheme, host and port. */
bool hilo__client_target_same(const struct target *a, const struct target *b);
/* [any] The host and port of a proxy. */
int hilo__client_proxy_parse(const char *url, struct settings *set);
/* [any] @target is asked without the proxy. */
bool hilo__client_is_direct(const struct settings *set, const struct target *target);

/* ---- code.c ---- */
/* [any] What @code of libcurl means, of @easy. */
int hilo__client_code(CURLcode code, CURL *easy);
int hilo__client_multi_code(CURLMcode code);

/* ---- text.c ---- */
/*
 * [any, suspends] Decode *@text, from malloc, of @size bytes, as @type says; it may be another one then. Bytes, and in
 * *@characters how many characters.
 */
ssize_t hilo__client_decode(char **text, size_t size, const char *type, size_t *characters,
			    hilo_time deadline);

#endif /* HILO_IO_HTTP_CLIENT_CLIENT_IMPL_H */
