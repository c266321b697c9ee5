/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_HTTP_MESSAGE_H
#define HILO_IO_HTTP_MESSAGE_H

#include <hilo/io/address.h>
#include <hilo/runtime/types.h>

#include <sys/types.h>

HILO_BEGIN_DECLS

/*
 * message.h - what a handler of an HTTP server sees of a request, and how it answers.
 *
 *	static int item(hilo_http_request *request, void *arg)
 *	{
 *		const char *id = hilo_http_param(request, "id");
 *
 *		return hilo_http_respond(request, 200, "text/plain", id, strlen(id), HILO_FOREVER);
 *	}
 *
 * Who may   All calls are for the handler's own task, while it runs: [handler].
 * Texts     are ended by a NUL, contain none, and are there until the handler returns.
 * Answers   begin once: hilo_http_respond, hilo_http_send_file, or hilo_http_begin, hilo_http_write, hilo_http_end. A
 *           handler that fails before is answered for, with 500, or with the status of what has gone wrong with the
 *           request's body: 400, 408, 413. One that fails later ends the connection, so that the client sees that the
 *           answer is not whole. One that answers nothing has failed.
 * NULL      as a request is answered with -EINVAL, and by those that return a text with NULL.
 */
typedef struct hilo_http_request hilo_http_request;

/* Answers one request: 0 or more, or a failure. */
typedef int (*hilo_http_fn)(hilo_http_request *request, void *arg);

/* ---- The request ---- */

/* [handler] "GET"; methods are in capitals. */
HILO_API const char *hilo_http_method(const hilo_http_request *request);

/* [handler] What was asked for, as it came: "/items/a%20b?x=1". */
HILO_API const char *hilo_http_target(const hilo_http_request *request);

/* [handler] The path alone, as it came: "/items/a%20b"; "*" of OPTIONS. */
HILO_API const char *hilo_http_path(const hilo_http_request *request);

/* [handler] 11: HTTP/1.1; 10: HTTP/1.0. */
HILO_API int hilo_http_version(const hilo_http_request *request);

/* [handler] The host that was asked for, with its port if it has one; "" if an old client names none. */
HILO_API const char *hilo_http_host(const hilo_http_request *request);

/* [handler] The part of the path that the pattern calls @name, decoded. NULL: there is no such part. */
HILO_API const char *hilo_http_param(const hilo_http_request *request, const char *name);

/*
 * [handler] The first value of @name in the query, decoded ('+' is a space); "" for a name without one. NULL: it is not
 * there, or there is no memory.
 */
HILO_API const char *hilo_http_query(hilo_http_request *request, const char *name);

/*
 * [handler] The pair with number @index, from 0, in *@name and *@value. 0; -ENOENT: there are no more; -ENOMEM; -E2BIG:
 * there are more than 256; -EINVAL.
 */
HILO_API int hilo_http_query_at(hilo_http_request *request, size_t index, const char **name,
				const char **value);

/* [handler] The value of the first header field @name, in whichever case; NULL: there is none. */
HILO_API const char *hilo_http_field(const hilo_http_request *request, const char *name);

/* [handler] The field with number @index, from 0. 0; -ENOENT: there are no more; -EINVAL. */
HILO_API int hilo_http_field_at(const hilo_http_request *request, size_t index, const char **name,
				const char **value);

/* [handler, after the end of the body was read] The trailer field @name; NULL: there is none. */
HILO_API const char *hilo_http_trailer(const hilo_http_request *request, const char *name);

/* [handler] Who asks. 0; -ENOTSOCK, -ENOTCONN as hilo_stream_peer. */
HILO_API HILO_MUST_CHECK int hilo_http_peer(const hilo_http_request *request, hilo_address *ret);

/*
 * [handler] 1: the client has closed its side, or the connection has failed, so that an answer will hardly be read; 0:
 * not that we know. Looks at what has come, and never waits. A client that goes away cancels nothing by itself.
 */
HILO_API int hilo_http_client_gone(hilo_http_request *request);

/* [handler] @size bytes, aligned for anything, until the handler returns. NULL: no memory. */
HILO_API void *hilo_http_alloc(hilo_http_request *request, size_t size);

/* ---- Its body ---- */

#define HILO_HTTP_CHUNKED UINT64_MAX /* as a length: in chunks, known at the end */

/* [handler] Bytes of the body, 0: none; HILO_HTTP_CHUNKED: it comes in chunks. */
HILO_API uint64_t hilo_http_length(const hilo_http_request *request);

/*
 * [handler, suspends] Read some of the body, 1 to @size bytes. How many; 0: the end. A client that waits for "100
 * Continue" is told so by the first read. -ETIMEDOUT: by @deadline, or the server's limit for bodies; -ECANCELED;
 * -EMSGSIZE: more than the server's limit; -EBADMSG: its chunks are malformed; HILO_EINCOMPLETE: the client has ended
 * within it; HILO_ECLOSED, -ECONNRESET and so on: as hilo_stream_read; -ENOMEM. After a failure other than by @deadline
 * or a cancel the connection ends with the answer.
 */
HILO_API ssize_t hilo_http_read(hilo_http_request *request, void *buf, size_t size, hilo_time deadline);

/*
 * [handler, suspends] Read what is left of the body, @limit bytes at most, into memory that is in *@ret then, with a
 * NUL behind it; the caller ends it with free(). How many; -EMSGSIZE: there are more; else as hilo_http_read. On
 * failure what was read is lost.
 */
HILO_API ssize_t hilo_http_read_all(hilo_http_request *request, size_t limit, char **ret, hilo_time deadline);

/* ---- The answer ---- */

/*
 * [handler] Add a field to the answer that has not begun. 0; -EINVAL: @name is not a token, @value has control
 * characters, or the field is one that the server sets itself (Content-Length, Transfer-Encoding, Connection, Date,
 * Trailer); HILO_EINVALSTATE: the answer has begun; -E2BIG: more than 64 KiB of them; -ENOMEM.
 */
HILO_API int hilo_http_add_field(hilo_http_request *request, const char *name, const char *value);

/*
 * [hook; hilo_http_router_before] 0: a handler will be called. Else the status that is answered if no hook does: 404;
 * or 405, and 204 to OPTIONS, with the methods that there are in *@allow, as the field Allow has them. @allow may be
 * NULL; *@allow is NULL for 404, and the request's.
 */
HILO_API int hilo_http_unanswered(const hilo_http_request *request, const char **allow);

/* [handler] End the connection after this answer, and say so in it. 0; HILO_EINVALSTATE: the answer has begun. */
HILO_API int hilo_http_end_connection(hilo_http_request *request);

/*
 * [handler, suspends] Answer with @status, 200 to 599, and @size bytes, as @type ("text/plain"; NULL: no
 * Content-Type). To HEAD the bytes are counted and not sent. What is sent is what hilo_stream_write has. 0;
 * HILO_EINVALSTATE: the answer has begun; -EINVAL: no such status, or a body with 204, 205 or 304; -EPIPE, -ECONNRESET,
 * -ETIMEDOUT, -ECANCELED and so on: as hilo_stream_write, and the connection ends; -ENOMEM.
 */
HILO_API int hilo_http_respond(hilo_http_request *request, int status, const char *type, const void *data,
			       size_t size, hilo_time deadline);

/*
 * [handler] Begin an answer whose body of @length bytes is written later; HILO_HTTP_CHUNKED: of whatever length, in
 * chunks, or to a client of HTTP/1.0 up to the end of the connection. Nothing is sent before the first write. Codes as
 * hilo_http_respond.
 */
HILO_API int hilo_http_begin(hilo_http_request *request, int status, const char *type, uint64_t length);

/*
 * [handler, suspends] Write @size bytes more of the body, with @size 0 only what is held back. @size;
 * HILO_EINVALSTATE: no answer has begun, or it has ended; -EMSGSIZE: more than was announced, nothing was written; else
 * as hilo_stream_write.
 */
HILO_API ssize_t hilo_http_write(hilo_http_request *request, const void *data, size_t size,
				 hilo_time deadline);

/*
 * [handler] Add a field after the body of an answer in chunks that has not ended; without chunks it is left out. 0;
 * codes as hilo_http_add_field.
 */
HILO_API int hilo_http_add_trailer(hilo_http_request *request, const char *name, const char *value);

/*
 * [handler, suspends] End an answer that hilo_http_begin has begun; when the handler returns without, that is done for
 * it. 0; HILO_EINCOMPLETE: less was written than announced, and the connection ends; else as hilo_http_write.
 */
HILO_API int hilo_http_end(hilo_http_request *request, hilo_time deadline);

/*
 * [handler, suspends] Answer with the regular file @fd, from its beginning, as @type: 200; or 206 with the one range
 * of bytes that was asked for, or 416 if it is none of the file's. Borrows @fd. 0; codes as hilo_http_respond and
 * hilo_stream_sendfile.
 */
HILO_API int hilo_http_send_file(hilo_http_request *request, int fd, const char *type, hilo_time deadline);

/* [any] "Not Found" for 404; "Unknown" for what has no name. */
HILO_API const char *hilo_http_status_text(int status);

HILO_END_DECLS

#endif /* HILO_IO_HTTP_MESSAGE_H */
