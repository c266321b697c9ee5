/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_TLS_OPENSSL_IMPL_H
#define HILO_IO_TLS_OPENSSL_IMPL_H

/*
 * tls_openssl_impl.h - TLS over a transport, which is a transport itself. docs/design/tls.md has the whole.
 *
 *	stream --receive, send--> tls --receive, send--> transport below
 *	                    SSL_read, SSL_write over the buffers in, out and fresh
 *
 * OpenSSL never waits, and knows no descriptor: it takes what is in `in`, and leaves what is to be sent.
 *
 * I1  The SSL object is used by whoever holds it (tls.held). Who finds it held leaves word (tls.missed) and is
 *     told by the holder when he lets go of it: -EAGAIN, to begin again. So nobody waits, whichever thread he is
 *     on. Nothing is called below, nor above, by whom holds it, but send_now.
 * I2  `in` belongs to the receive: to the one below while that is in flight (receiving), else to the holder, who reads.
 * I3  While a send is under way (sending, from when there is something to send until it is told above) `out` is his,
 *     and what the holder has to say besides, an alert, or an answer to a new key, goes into `fresh`. Else the holder
 *     writes to `out`, and fresh is empty. It goes with the next send, or when the holder lets go, without waiting.
 * I4  What was encrypted is not encrypted again: until all of it was sent, a send that begins again goes on with what
 *     is in out, and then tells how much of its data that was (taken).
 * I5  Who starts a send below (flying and starting) finds out himself how it went, if it completes before he is back;
 *     and stops it, if it was to be stopped meanwhile. So nobody stops one that is not in flight, or has gone.
 * I6  All of it stays until the stream frees the transport, closed or not.
 * I7  A message of the handshake's kind that has come in part leaves OpenSSL inside of it: then it would read before it
 *     writes, and `in` is not the sender's. So who sends leaves word (awaits_read), and is told, as in I1, by the
 *     holder who has read the rest, or the end; or, if he is stopped, by who stops him.
 *
 * Rejected: a lock, held while OpenSSL computes. Encrypting 64 KiB takes 20 us, a spinlock is for 100 ns, and what
 * completes a receive must not wait. Rejected: to decrypt when a receive completes: that would be done on the thread
 * that asks the kernel, one connection after the other. So the one who reads is woken to do it himself.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "io/stream_impl.h"
#include "io/tls_impl.h"
#include "scheduler/base/lock.h"

/* In the transport itself: a request and a reply of the common size, encrypted. */
#define TLS_INLINE 1024
#define TLS_FRESH_INLINE 128
/* The largest buffer that is received into: a record, and the beginning of the next. */
#define TLS_IN_MAX (17 * 1024)
/* The most that is encrypted at a time; and what a record may add to its bytes. */
#define TLS_CHUNK ((size_t)64 * 1024)
#define TLS_RECORD ((size_t)16 * 1024)
#define TLS_OVERHEAD ((size_t)128)

/* What may wait to be said besides: who asks for more (to renegotiate, by TLS 1.2) and reads no answer is cut off. */
#define TLS_FRESH_MAX ((size_t)64 * 1024)

struct tls_sessions;

/* A context. What does not change after it was made needs no lock. */
struct tls_context {
	struct hilo_tls_context base;
	struct spinlock lock;
	uint32_t refs; /* under the lock */
	SSL_CTX *ssl;
	BIO_METHOD *method;
	hilo_tls_choose_fn choose;
	hilo_tls_passphrase_fn ask;
	const char *passphrase; /* while it is made */
	void *arg;
	unsigned char *alpn; /* as it is on the wire */
	size_t alpn_size;
	char *ciphersuites;
	unsigned flags;
	hilo_time handshake, shutdown;
	struct tls_sessions *sessions; /* of clients; NULL: none are kept */
};

static inline struct tls_context *context_of(hilo_tls_context *context)
{
	return container_of(context, struct tls_context, base);
}

enum tls_way {
	TLS_RX = 1,
	TLS_TX = 2,
};

struct tls {
	struct transport base;
	struct transport *below;     /* NULL: the handshake is not complete */
	struct tls_context *context; /* a reference; and of the one that was chosen for a name */
	struct tls_context *chosen;
	SSL *ssl;
	struct spinlock lock;
	/* Under the lock. */
	bool held;	 /* I1 */
	uint8_t missed;	 /* enum tls_way */
	bool sending;	 /* I3 */
	bool flying;	 /* I5 */
	bool starting;	 /* I5 */
	bool landed;	 /* while starting: it has completed ... */
	ssize_t landing; /* ... with that */
	bool stop_send;
	bool receiving;	  /* I2 */
	bool awaits_read; /* I7 */
	/* The receive's. */
	struct stream_buffer in;
	bool in_filled, in_later, in_end;
	uint8_t in_small; /* receives in a row that the small buffer would have done for */
	int in_error;
	/* The holder's. */
	struct stream_buffer out, fresh;
	struct stream_buffer *target; /* one of them */
	bool no_memory;
	bool is_over;	/* reads have ended with ... */
	int over;	/* ... that */
	bool said_end;	/* ours */
	bool is_broken; /* nothing can be said any more */
	size_t taken;	/* I4 */
	/* From the handshake on; but for the error under no lock. */
	hilo_time shutdown;
	const char *version, *cipher;
	X509 *peer;
	bool reused;
	char *server_name;
	bool said_hello; /* servers: the client has, and server_name is what it has asked for */
	unsigned char alpn[256];
	char error[160]; /* under the lock */
	char in_inline[TLS_INLINE], out_inline[TLS_INLINE], fresh_inline[TLS_FRESH_INLINE];
};

/* tls_context.c */
extern const struct tls_ops hilo__tls_ops;

/* [any] What OpenSSL has to say of its failures in this thread, which it forgets; never empty. */
void hilo__tls_reason(char *buf, size_t size);

/* [any] hilo_fail with that after the message. */
int hilo__tls_fail(int code, const char *format, ...) HILO_PRINTF(2, 3);

/* tls_load.c: [creator] Read what @opts says of certificates and keys. 0, or why not, with a message. */
int hilo__tls_load(struct tls_context *context, const hilo_tls_context_opts *opts, const char *call);

/* tls_session.c: one connection */

/* [creator] Have @context make handshakes as its options say: callbacks and the like. 0, -ENOMEM. */
int hilo__tls_prepare(struct tls_context *context);

/* [any] A new one. 0; -EINVAL, -ENOMEM, with a message. */
int hilo__tls_new(struct tls_context *context, const char *server_name, const char *call, struct tls **ret);

/* [sole owner] */
void hilo__tls_free(struct tls *tls);

/* [sole owner] After the handshake: what there is to know of it. */
void hilo__tls_look(struct tls *tls);

/* tls_info.c */
int hilo__tls_info(struct transport *transport, const char *key, char *buf, size_t size);

/* tls_sessions.c: sessions that clients may go on with, by the name of the server; oldest go first */
struct tls_sessions *hilo__tls_sessions_new(unsigned most);
void hilo__tls_sessions_free(struct tls_sessions *sessions);

/* [any] Consumes a reference of @session. */
void hilo__tls_sessions_put(struct tls_sessions *sessions, const char *name, SSL_SESSION *session);

/* [any] One for @name, and a reference; NULL: none. One of TLS 1.3 is given once. */
SSL_SESSION *hilo__tls_sessions_take(struct tls_sessions *sessions, const char *name);

/* tls_bytes.c: the buffers, and what OpenSSL has instead of a connection */

/* [creator] NULL: no memory. */
BIO_METHOD *hilo__tls_method_new(void);
BIO *hilo__tls_bio_new(struct tls *tls);

/* [sole user] Room for @size bytes more at the end. 0, -ENOMEM. */
int hilo__tls_reserve(struct stream_buffer *buffer, const char *own, size_t size);

/* [sole user] Empty; larger memory than its @own, of @size bytes, is given back. */
void hilo__tls_reset(struct stream_buffer *buffer, char *own, size_t size);

/* tls_transport.c */

/* As hilo__stream_wrap_fn; @arg is a struct tls, whose handshake is complete. */
struct transport *hilo__tls_wrap(struct transport *below, const char *bytes, size_t n, void *arg);

/* [holder] What has failed, by @why or, for NULL, OpenSSL's own word: kept for hilo_stream_info. -EPROTO, -ENOMEM. */
int hilo__tls_broken(struct tls *tls, const char *why);

/* tls_start.c */
int hilo__tls_start(hilo_stream *stream, hilo_tls_context *context, const hilo_tls_opts *opts,
		    const char *call, hilo_time deadline);

#endif /* HILO_IO_TLS_OPENSSL_IMPL_H */
