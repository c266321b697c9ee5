/* SPDX-License-Identifier: MIT */
/*
 * tls.c - makes a context and fails to go on over TLS with it, with the installed library; or is told that there is no
 * TLS.
 */
#include <hilo/hilo.h>

#include <errno.h>
#include <stdio.h>

static int main_task(void *arg)
{
	hilo_stream *pair[2] = {NULL, NULL};
	hilo_tls_opts opts = {.size = sizeof(opts), .server_name = "nobody", .handshake = HILO_MILLISECOND};
	hilo_tls_context *context = NULL;
	int rc = hilo_tls_client_new(NULL, &context);

	(void)arg;
	if (!hilo_tls_available()) {
		printf("no TLS: %s\n", hilo_error_message());
		return rc == -ENOSYS ? 0 : -EIO;
	}
	if (rc == 0)
		rc = hilo_stream_pair(0, NULL, pair);
	if (rc == 0)
		rc = hilo_stream_start_tls(pair[0], context, &opts, HILO_FOREVER);
	printf("TLS: %s\n", hilo_error_message());
	hilo_stream_free(pair[0]);
	hilo_stream_free(pair[1]);
	hilo_tls_context_unref(context);
	return rc == -ETIMEDOUT ? 0 : -EIO;
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
