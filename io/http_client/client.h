/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_HTTP_CLIENT_CLIENT_H
#define HILO_IO_HTTP_CLIENT_CLIENT_H

#include <hilo/runtime/task.h>
#include <hilo/runtime/types.h>

#include <sys/types.h>

HILO_BEGIN_DECLS

/*
 * client.h - asking HTTP servers, by libcurl: sessions, requests, responses. In libhilo-http-client.
 *
 *	hilo_http_session *session;
 *	int rc = hilo_http_session_new(NULL, &session);
 *
 *	HILO_WITH_HTTP_GET (response, session, "https://www.example.com", &rc) {
 *		char *text;
 *		ssize_t n = hilo_http_response_text(response, 1 << 20, &text, NULL, HILO_FOREVER);
 *		...
 *	}
 *	hilo_http_session_free(session);
 *
 * Sessions   have a pool of connections, which are kept for further requests, and a jar of cookies. All of their
 *            transfers are made by callbacks on one loop, that of the first request; requests come from tasks of any
 *            worker and runtime, and from plain threads, which block.
 * Responses  are there as soon as their header is. Their body is read as it comes; while nobody reads hardly more than
 *            the session's buffer is taken from the connection, so that the server has to wait.
 * Redirects  are followed, up to ten. To another scheme, host or port go neither user and password nor the fields
 *            Authorization, Cookie, Host and Proxy-Authorization that the program has given.
 * Stacks     Tasks that make a session, or requests, need the usual one of 64 KiB: libcurl runs on it while they are
 *            prepared. All the rest of it runs on the loop's thread.
 * Large      bodies are sent at once. Whoever wants them announced gives the field Expect, as "100-continue"; they are
 *            sent after a second then if the server says nothing. One that answers 417 is asked again, without it, and
 *            the rest of the response is of that answer.
 * Names      are resolved by hilo_resolve, so that no loop waits for that; those of servers behind a proxy by it.
 * TLS        Certificates and names are verified. HTTP/2 is spoken where libcurl and the server can.
 * Failures   have a message with method and URL. An answer of any status is no failure: hilo_http_response_check.
 *            -EINVAL: arguments that make no sense; -EPROTONOSUPPORT: neither http nor https; HILO_ENONAME: no such
 *            host, and so on as hilo_resolve; -ECONNREFUSED, -EHOSTUNREACH, -ECONNRESET and so on: the connection,
 *            also the proxy's; -EACCES: the proxy refuses to make it, or the user;
 *            -EKEYREJECTED: the certificate is not accepted; -EPROTO: TLS or HTTP/2 has failed; -EBADMSG: what came is
 *            not HTTP, or not the encoding that it says; HILO_EINCOMPLETE: the connection has ended within the answer;
 *            -ELOOP: too many redirects; -EMSGSIZE: more than a limit; -EMFILE, -ENFILE, -ENOMEM; HILO_ECLOSED: the
 *            session is closed, or its runtime has ended; -ETIMEDOUT, -ECANCELED: the transfer is aborted, and its
 *            connection closed, but where a read says that it can be tried again; -EDEADLK: a callback.
 */
typedef struct hilo_http_session hilo_http_session;
typedef struct hilo_http_response hilo_http_response;

/* A header field. Value "": sent without one; NULL: not sent, also if libcurl would send it by itself. */
typedef struct hilo_http_header {
	const char *name;
	const char *value;
} hilo_http_header;

#define HILO_HTTP_INSECURE 1u	/* any certificate is accepted; what is sent can be read by anybody between */
#define HILO_HTTP_NO_COOKIES 2u /* sessions: cookies are not kept */
#define HILO_HTTP_NO_REDIRECTS 4u /* the redirect is the response */
#define HILO_HTTP_IDENTITY 8u	  /* compression is not asked for, and bodies are given as they come */

/* Zero means the default in every field but `size`. All texts are copied. */
typedef struct hilo_http_session_opts {
	size_t size; /* sizeof(hilo_http_session_opts) */
	hilo_runtime *
		runtime; /* whose loop serves it, if the first request is a plain thread's; default: the task's */
	const hilo_http_header
		*headers; /* of all requests; one of a request replaces that of the same name */
	size_t n_headers;
	const char *user_agent; /* default "hilo/" and the version */
	const char *
		proxy; /* http://, https://, socks4a:// or socks5h://[user:password@]host:port; default: none */
	const char
		*no_proxy; /* hosts, with all below them, that are asked directly: "localhost,example.com" */
	const char *ca_file; /* who is trusted, in PEM, also as a proxy; default: the system's */
	const char *ca_folder;
	const char *cert_file; /* who we are, in PEM */
	const char *key_file;
	const char *passphrase;	   /* of the key */
	unsigned flags;		   /* HILO_HTTP_* above, for all requests */
	unsigned connections;	   /* at a time, and kept; default 100; further requests wait */
	unsigned host_connections; /* of them to one host and port; default: no limit */
	unsigned redirects;	   /* the most that are followed; default 10 */
	/*
	 * 10, 11: HTTP/1.0, 1.1, always. Default: 2 over TLS, where libcurl and the server can, else 1.1. 20: the same,
	 * and requests wait for the first connection to a host, to share it.
	 */
	int version;
	hilo_time connect_time; /* for a connection, TLS included; default 30 s */
	hilo_time
		total_time; /* from the request to the end of its body; default 300 s; less than 0: no limit */
	size_t buffer;	    /* bytes of a body that are kept while nobody reads; default 256 KiB */
	size_t header; /* bytes of a header, or of trailers; default 256 KiB; beyond: -EMSGSIZE; also ... */
		       /* ... if one line of it has more than 100 KiB */
} hilo_http_session_opts;

/*
 * [any] A session, the caller's, in *@ret; to be ended with hilo_http_session_free. Nothing is connected yet. @opts
 * may be NULL. 0; -EINVAL, -E2BIG, with a message; -ENOMEM.
 */
HILO_API HILO_MUST_CHECK int hilo_http_session_new(const hilo_http_session_opts *opts,
						   hilo_http_session **ret);

/*
 * [any, suspends] Close: requests and responses that are under way end with HILO_ECLOSED, all connections are closed
 * when this returns 0, also again. -ETIMEDOUT, -ECANCELED: that happens a moment later. -EINVAL, -EDEADLK.
 */
HILO_API int hilo_http_session_close(hilo_http_session *session, hilo_time deadline);

/* [any] Consumes @session: closed, without waiting for it. Responses stay valid. Never suspends. NULL: no-op. */
HILO_API void hilo_http_session_free(hilo_http_session *session);

/*
 * [any] Keep a cookie, as the value of Set-Cookie has it, with its domain: "a=b; domain=example.com; path=/"; and
 * forget all of them. 0; -EINVAL: also if it has no name and value; -ENOMEM; HILO_EINVALSTATE: the session has no
 * cookies.
 */
HILO_API int hilo_http_session_add_cookie(hilo_http_session *session, const char *cookie);
HILO_API int hilo_http_session_clear_cookies(hilo_http_session *session);

/* Figures of one session. */
typedef struct hilo_http_session_stats {
	size_t size;	      /* sizeof(hilo_http_session_stats), set by the caller */
	uint64_t transfers;   /* that were begun; each redirect is one more */
	uint64_t failed;      /* of them, cancelled ones included */
	uint64_t connections; /* that were made for them */
	uint64_t running;     /* transfers now, with up to 100 that wait for a connection */
} hilo_http_session_stats;

/* [any] Read them. 0, -EINVAL. */
HILO_API HILO_MUST_CHECK int hilo_http_session_get_stats(const hilo_http_session *session,
							 hilo_http_session_stats *ret);

/* ---- Requests ---- */

/*
 * Gives what is to be sent next, 1 to @size bytes into @buf: how many; 0: the end; a code: the request fails with it.
 * Called in a task of its own, so that it may suspend; cancelled when the request ends.
 */
typedef ssize_t (*hilo_http_body_fn)(void *buf, size_t size, void *arg);

/* Zero means the default in every field but `size` and `url`. All is borrowed for the call but for arg. */
typedef struct hilo_http_fetch_opts {
	size_t size;	    /* sizeof(hilo_http_fetch_opts) */
	const char *method; /* default "GET", with a body "POST" */
	const char *url;
	const hilo_http_header *headers;
	size_t n_headers;
	const char *type; /* Content-Type of the body; default: none */
	const void *data; /* the body, copied; NULL: there is none, or it comes from read */
	size_t data_size;
	hilo_http_body_fn read; /* the body comes from here ... */
	uint64_t length; /* ... so many bytes, else -EINVAL; default: as many as there are, in chunks */
	void *arg;	 /* of read; kept ... */
	void (*done)(
		void *arg); /* ... until this is called, once, on any thread, also if the request fails */
	const char *user;   /* Basic authentication; default: what the URL has */
	const char *password;
	unsigned flags; /* HILO_HTTP_* above, besides the session's; cookies are its affair alone */
	hilo_time total_time;
	unsigned redirects;
} hilo_http_fetch_opts;

/*
 * [any, suspends] Send a request, and wait for the header of its response. 0, and *@ret, the caller's, to be ended with
 * hilo_http_response_free. Codes above; with a body that cannot be said again, -ESPIPE: a redirect asks for it. When a
 * connection that was kept turns out to be closed before anything of the answer has come, the request is sent again.
 */
HILO_API HILO_MUST_CHECK int hilo_http_fetch(hilo_http_session *session, const hilo_http_fetch_opts *opts,
					     hilo_http_response **ret, hilo_time deadline);

/* [any, suspends] The usual ones: hilo_http_fetch with these. */
HILO_API HILO_MUST_CHECK int hilo_http_get(hilo_http_session *session, const char *url,
					   hilo_http_response **ret, hilo_time deadline);
HILO_API HILO_MUST_CHECK int hilo_http_head(hilo_http_session *session, const char *url,
					    hilo_http_response **ret, hilo_time deadline);
HILO_API HILO_MUST_CHECK int hilo_http_delete(hilo_http_session *session, const char *url,
					      hilo_http_response **ret, hilo_time deadline);
HILO_API HILO_MUST_CHECK int hilo_http_post(hilo_http_session *session, const char *url, const char *type,
					    const void *data, size_t size, hilo_http_response **ret,
					    hilo_time deadline);
HILO_API HILO_MUST_CHECK int hilo_http_put(hilo_http_session *session, const char *url, const char *type,
					   const void *data, size_t size, hilo_http_response **ret,
					   hilo_time deadline);
HILO_API HILO_MUST_CHECK int hilo_http_patch(hilo_http_session *session, const char *url, const char *type,
					     const void *data, size_t size, hilo_http_response **ret,
					     hilo_time deadline);

/* ---- Responses: texts are valid until the response is freed; by one caller at a time, but for what says [any] ---- */

/* [caller] 200, 404 ...; 0 for NULL. */
HILO_API int hilo_http_response_status(const hilo_http_response *response);

/* [caller] 10, 11, 20: HTTP/1.0, 1.1, 2. */
HILO_API int hilo_http_response_version(const hilo_http_response *response);

/* [caller] Where it came from, after all redirects; without user and password. */
HILO_API const char *hilo_http_response_url(const hilo_http_response *response);

/* [caller] How many redirects were followed. */
HILO_API unsigned hilo_http_response_redirects(const hilo_http_response *response);

/* [caller] The value of the first field @name, in whichever case; NULL: there is none. */
HILO_API const char *hilo_http_response_field(const hilo_http_response *response, const char *name);

/* [caller] The field with number @index, from 0. 0; -ENOENT: there are no more; -EINVAL. */
HILO_API int hilo_http_response_field_at(const hilo_http_response *response, size_t index, const char **name,
					 const char **value);

/* [caller, after the end of the body was read] The trailer field @name; NULL: there is none. */
HILO_API const char *hilo_http_response_trailer(const hilo_http_response *response, const char *name);

/* [caller] 0: the status is below 400; else -EREMOTEIO, with a message that says what it is. -EINVAL. */
HILO_API int hilo_http_response_check(const hilo_http_response *response);

/*
 * [any, suspends] Read some of the body, 1 to @size bytes. How many; 0: the end, or @size is 0. -ETIMEDOUT by
 * @deadline, -ECANCELED: nothing is lost, and it can be tried again; -ETIMEDOUT by the limit of the request: it is
 * aborted; -EBUSY: somebody else reads; codes above, after all that had come before; HILO_ECLOSED also after
 * hilo_http_response_close.
 */
HILO_API ssize_t hilo_http_response_read(hilo_http_response *response, void *buf, size_t size,
					 hilo_time deadline);

/*
 * [any, suspends] Read what is left of the body, @limit bytes at most, into memory that is in *@ret then, with a NUL
 * behind it; the caller ends it with free(). How many; -EMSGSIZE: there are more. On failure what has come can be
 * read.
 */
HILO_API ssize_t hilo_http_response_read_all(hilo_http_response *response, size_t limit, char **ret,
					     hilo_time deadline);

/*
 * [any, suspends] The same as text, in UTF-8: decoded from the charset of its Content-Type, or from UTF-8 if that
 * names none. @limit is for the bytes that come. How many bytes it has now, and in *@characters (or NULL) how many
 * characters. -EILSEQ: it is not in that charset, with a message that says where; -EOPNOTSUPP: there is no such
 * charset; on both the body is lost, on other failures it can be read again. Else as hilo_http_response_read_all;
 * -EAGAIN: no thread is free to decode it.
 */
HILO_API ssize_t hilo_http_response_text(hilo_http_response *response, size_t limit, char **ret,
					 size_t *characters, hilo_time deadline);

/*
 * [any, suspends] End the transfer: one that is not complete is aborted, and its connection closed. Waits until that
 * has happened and the body's function, which is cancelled, has returned. 0, also again; -ETIMEDOUT, -ECANCELED: it
 * happens a moment later; -EINVAL, -EDEADLK.
 */
HILO_API int hilo_http_response_close(hilo_http_response *response, hilo_time deadline);

/* [any] Consumes @response: closed, without waiting for it. Never suspends. NULL: no-op. */
HILO_API void hilo_http_response_free(hilo_http_response *response);

/* ---- Blocks ---- */

/*
 * A block with a session that is closed at its end. @name is a hilo_http_session * in it, @opts may be NULL; *@code is
 * 0 when it begins, or why it cannot.
 */
#define HILO_WITH_HTTP_SESSION(name, opts, code)                                                             \
	for (hilo_http_block hilo_place_of_##name HILO_CLEANUP(hilo_http_block_cleanup),                     \
	     *hilo_block_of_##name = hilo_http_block_session(&hilo_place_of_##name, opts, code);             \
	     hilo_block_of_##name; hilo_block_of_##name = hilo_http_block_end(&hilo_place_of_##name))        \
		for (hilo_http_session *name = hilo_place_of_##name.session; name; name = NULL)

/* A block with the response to hilo_http_fetch(@session, @opts), without a deadline; closed at its end. */
#define HILO_WITH_HTTP(name, session, opts, code)                                                            \
	for (hilo_http_block hilo_place_of_##name HILO_CLEANUP(hilo_http_block_cleanup),                     \
	     *hilo_block_of_##name = hilo_http_block_fetch(&hilo_place_of_##name, session, opts, code);      \
	     hilo_block_of_##name; hilo_block_of_##name = hilo_http_block_end(&hilo_place_of_##name))        \
		for (hilo_http_response *name = hilo_place_of_##name.response; name; name = NULL)

/* The same with hilo_http_get(@session, @url). */
#define HILO_WITH_HTTP_GET(name, session, url, code)                                                         \
	for (hilo_http_block hilo_place_of_##name HILO_CLEANUP(hilo_http_block_cleanup),                     \
	     *hilo_block_of_##name = hilo_http_block_get(&hilo_place_of_##name, session, url, code);         \
	     hilo_block_of_##name; hilo_block_of_##name = hilo_http_block_end(&hilo_place_of_##name))        \
		for (hilo_http_response *name = hilo_place_of_##name.response; name; name = NULL)

/* What the macros put into the frame. */
typedef struct hilo_http_block {
	hilo_http_session *session;
	hilo_http_response *response;
} hilo_http_block;

static inline hilo_http_block *hilo_http_block_session(hilo_http_block *block,
						       const hilo_http_session_opts *opts, int *code)
{
	block->session = NULL;
	block->response = NULL;
	*code = hilo_http_session_new(opts, &block->session);
	return *code == 0 ? block : NULL;
}

static inline hilo_http_block *hilo_http_block_fetch(hilo_http_block *block, hilo_http_session *session,
						     const hilo_http_fetch_opts *opts, int *code)
{
	block->session = NULL;
	block->response = NULL;
	*code = hilo_http_fetch(session, opts, &block->response, HILO_FOREVER);
	return *code == 0 ? block : NULL;
}

static inline hilo_http_block *hilo_http_block_get(hilo_http_block *block, hilo_http_session *session,
						   const char *url, int *code)
{
	block->session = NULL;
	block->response = NULL;
	*code = hilo_http_get(session, url, &block->response, HILO_FOREVER);
	return *code == 0 ? block : NULL;
}

static inline hilo_http_block *hilo_http_block_end(hilo_http_block *block)
{
	int shielded;

	if (!block->session && !block->response)
		return NULL;
	shielded = hilo_shield_enter();
	if (block->response)
		(void)hilo_http_response_close(block->response, HILO_FOREVER);
	if (block->session)
		(void)hilo_http_session_close(block->session, HILO_FOREVER);
	if (shielded == 0)
		(void)hilo_shield_leave();
	hilo_http_response_free(block->response);
	hilo_http_session_free(block->session);
	block->response = NULL;
	block->session = NULL;
	return NULL;
}

static inline void hilo_http_block_cleanup(hilo_http_block *block)
{
	(void)hilo_http_block_end(block);
}

HILO_END_DECLS

#endif /* HILO_IO_HTTP_CLIENT_CLIENT_H */
