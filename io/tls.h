/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_TLS_H
#define HILO_IO_TLS_H

#include <hilo/io/stream.h>
#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * tls.h - encrypted streams, by OpenSSL 3.
 *
 *	hilo_tls_context *tls;
 *	int rc = hilo_tls_client_new(NULL, &tls);                the system's certificates, names are verified
 *	hilo_connect_opts opts = {.size = sizeof(opts), .tls = tls};
 *
 *	rc = hilo_open_connection("example.com", 443, &opts, &stream, hilo_after(10 * HILO_SECOND));
 *
 * Link       These functions are in a library of their own, libhilo-tls (hilo::tls in CMake, hilo-tls for pkg-config),
 *            so that OpenSSL is in those processes alone that ask for it. Where that was built without OpenSSL each of
 *            them answers -ENOSYS, with a message.
 * Streams    A stream over TLS is a stream: all that stream.h says holds, deadlines, cancels and marks included. Its
 *            high mark counts bytes before they are encrypted; up to 64 KiB more are on their way below.
 * The end    hilo_stream_close and hilo_stream_write_eof say the end to the other side (close_notify). A read of 0
 *            bytes is the end that the other side has said. If the connection ends without, reads answer
 *            HILO_ETRUNCATED, after what had come: somebody may have cut it off. hilo_stream_abort says nothing.
 *            After hilo_stream_write_eof one can still read; but a peer of TLS 1.2, and many another program, closes
 *            as soon as it has read the end. hilo_stream_close does not wait for the other side's end: who wants to be
 *            sure that it has read everything writes the end, reads up to the other one, and closes then.
 * Failures   -EKEYREJECTED: the certificate is not accepted, the message says why. -EPROTO: the other side refuses, or
 *            does not speak TLS, or what came was changed on its way; hilo_stream_info's "tls_error" says more.
 * Callbacks  are called while a handshake is made, or a context, in the task that does so. They may not suspend.
 */
typedef struct hilo_tls_context hilo_tls_context;

/* Versions of the protocol. Older ones are not spoken. */
#define HILO_TLS_1_2 12
#define HILO_TLS_1_3 13

/*
 * Which context is to serve a client that asks for @server_name, in lower case; NULL: for none. 0, and it is in *@ret,
 * borrowed, or that is left as it is: the server's own. Less than 0: nobody serves that name.
 */
typedef int (*hilo_tls_choose_fn)(const char *server_name, hilo_tls_context **ret, void *arg);

/* The passphrase of the key, into @buf of @size bytes: its length; less than 0: there is none. */
typedef int (*hilo_tls_passphrase_fn)(char *buf, size_t size, void *arg);

/*
 * Zero means the default in every field but `size`. All is borrowed for the call; the context keeps choose and arg.
 */
typedef struct hilo_tls_context_opts {
	size_t size; /* sizeof(hilo_tls_context_opts) */
	/* Who is trusted: certificates in a file, a folder of hashed names, text in PEM. Default: the system's. */
	const char *ca_file;
	const char *ca_folder;
	const char *ca_pem;
	/* Who we are: the certificate, with those between it and its root, and the key, as files or text in PEM. */
	const char *cert_file;
	const char *cert_pem;
	const char *key_file; /* default: in the same file, or text, as the certificate */
	const char *key_pem;
	const char *passphrase;	    /* of the key */
	hilo_tls_passphrase_fn ask; /* instead */
	hilo_tls_choose_fn choose;  /* servers: by the name that was asked for */
	void *arg;		    /* of these two */
	const char *const *alpn;    /* protocols, those that are preferred first ... */
	size_t n_alpn;		    /* ... so many; none of them is refused (RFC 7301) */
	const char *ciphers;	    /* of TLS 1.2, as OpenSSL writes them */
	const char *ciphersuites;   /* of TLS 1.3 */
	unsigned flags;		    /* HILO_TLS_* below */
	int min_version;	    /* HILO_TLS_1_2, which is the default, or HILO_TLS_1_3 */
	int max_version;	    /* default: the newest */
	unsigned sessions;	    /* of servers a client remembers; default 256 */
	hilo_time handshake;	    /* what a handshake may take; default 60 s */
	hilo_time shutdown;	    /* what the end may take once all else was sent; default 30 s */
} hilo_tls_context_opts;

/* Clients: accept whoever answers. What is sent can be read by anybody between. */
#define HILO_TLS_INSECURE 1u
/* Clients: accept whoever has a certificate from somebody trusted, whatever its name. */
#define HILO_TLS_ANY_NAME 2u
/* Servers: ask clients for a certificate; one that is there must be good. */
#define HILO_TLS_ASK_CLIENTS 4u
/* Servers: turn away clients without a certificate. */
#define HILO_TLS_REQUIRE_CLIENTS 8u
/* No sessions are kept: each connection begins with a whole handshake. */
#define HILO_TLS_NO_SESSIONS 16u

/* [any] 1: TLS was built in; 0. */
HILO_API int hilo_tls_available(void);

/*
 * [any] What connections to others, or from others, have in common: who is trusted, who we are. Reads the files, which
 * may block for that long. 0, and it is in *@ret, the caller's, to be ended with hilo_tls_context_unref. @opts may be
 * NULL for clients; servers need a certificate. -EINVAL, -E2BIG: options that make no sense; -ENOENT, -EACCES and so
 * on: a file; -EKEYREJECTED: a certificate or key that cannot be read, or the two do not belong together; -ENOMEM;
 * -ENOSYS. All have a message, with the file and what OpenSSL says.
 */
HILO_API HILO_MUST_CHECK int hilo_tls_client_new(const hilo_tls_context_opts *opts, hilo_tls_context **ret);
HILO_API HILO_MUST_CHECK int hilo_tls_server_new(const hilo_tls_context_opts *opts, hilo_tls_context **ret);

/* [any] One more reference: returns @context. Connections and servers have their own. NULL: NULL. */
HILO_API hilo_tls_context *hilo_tls_context_ref(hilo_tls_context *context);

/* [any] One less; the last one frees it. NULL: no-op. */
HILO_API void hilo_tls_context_unref(hilo_tls_context *context);

/* Zero means the default in every field but `size`. Borrowed for the call. */
typedef struct hilo_tls_opts {
	size_t size; /* sizeof(hilo_tls_opts) */
	/*
	 * Clients: the name, or the address, that the other side's certificate must have, and that is asked for (SNI).
	 * Default: the host that was connected to.
	 */
	const char *server_name;
	hilo_time handshake; /* instead of the context's */
	hilo_time shutdown;
} hilo_tls_opts;

/*
 * [any, suspends] Go on over TLS, on both sides, after whatever has been said before: the client with a context of
 * clients, the server with one of servers. Nobody may read meanwhile; what others write waits, and is encrypted. Bytes
 * that had come and were not read belong to the handshake. 0, and the stream is encrypted from here on.
 *
 * -EINVAL, with a message: no context, or a client's without a name; -EBUSY: somebody reads; -EPIPE, -EBADF: it cannot
 * be written, or read; -ENOMEM, -ECANCELED, -ETIMEDOUT, HILO_ECLOSED, -EDEADLK before it has begun: nothing changes.
 * Once it has begun every failure, a cancel and the deadline too, ends the stream, as hilo_stream_abort does; besides
 * the above -EKEYREJECTED, -EPROTO; -ECONNRESET: the other side has hung up. All have a message.
 *
 * A client whose certificate the server does not accept mostly hears of that when it reads: of TLS 1.3 its own side is
 * complete before.
 *
 * hilo_stream_info then knows also: "transport" is "tls"; "tls_version", "cipher"; "alpn"; "server_name";
 * "session_reused", "1" or "0"; of the other side's certificate, if there is one, "peer_subject", "peer_issuer" and,
 * in PEM, "peer_certificate"; "tls_error", what was wrong, once reads have failed.
 */
HILO_API HILO_MUST_CHECK int hilo_stream_start_tls(hilo_stream *stream, hilo_tls_context *context,
						   const hilo_tls_opts *opts, hilo_time deadline);

HILO_END_DECLS

#endif /* HILO_IO_TLS_H */
