/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_TLS_IMPL_H
#define HILO_IO_TLS_IMPL_H

/*
 * tls_impl.h - all that libhilo knows of TLS: a context brings its functions along, so that connections and servers
 * find them without being linked with them.
 */
#include <hilo/io/tls.h>

#include <stdbool.h>

struct tls_ops {
	int (*start)(hilo_stream *stream, hilo_tls_context *context, const hilo_tls_opts *opts,
		     const char *call, hilo_time deadline);
	void (*ref)(hilo_tls_context *context);
	void (*unref)(hilo_tls_context *context);
};

/* What every context begins with. */
struct hilo_tls_context {
	const struct tls_ops *ops;
	bool is_server;
};

#endif /* HILO_IO_TLS_IMPL_H */
