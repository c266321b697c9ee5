/* SPDX-License-Identifier: MIT */
/* tls_off.c - what libhilo-tls is where it was built without OpenSSL. */
#include <hilo/io/tls.h>

#include <hilo/runtime/error.h>

#include <errno.h>

static int off(const char *call)
{
	return hilo_fail(-ENOSYS, "%s: this copy of Hilo was built without OpenSSL", call);
}

int hilo_tls_available(void)
{
	return 0;
}

int hilo_tls_client_new(const hilo_tls_context_opts *opts, hilo_tls_context **ret)
{
	(void)opts, (void)ret;
	return off("hilo_tls_client_new");
}

int hilo_tls_server_new(const hilo_tls_context_opts *opts, hilo_tls_context **ret)
{
	(void)opts, (void)ret;
	return off("hilo_tls_server_new");
}

/* There are no contexts. */
hilo_tls_context *hilo_tls_context_ref(hilo_tls_context *context)
{
	return context;
}

void hilo_tls_context_unref(hilo_tls_context *context)
{
	(void)context;
}

int hilo_stream_start_tls(hilo_stream *stream, hilo_tls_context *context, const hilo_tls_opts *opts,
			  hilo_time deadline)
{
	(void)stream, (void)context, (void)opts, (void)deadline;
	return off("hilo_stream_start_tls");
}
