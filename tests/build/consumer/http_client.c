/* SPDX-License-Identifier: MIT */
/* http_client.c - a program that asks for a page which nobody has: the failure says where. */
#include <hilo/hilo.h>
#include <hilo/http/client.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int main_task(void *arg)
{
	int rc = 0, code = 0;

	(void)arg;
	HILO_WITH_HTTP_SESSION (session, NULL, &rc) {
		HILO_WITH_HTTP_GET (response, session, "http://127.0.0.1:1/", &code)
			printf("%d\n", hilo_http_response_status(response));
	}
	printf("%s\n", hilo_error_message());
	return rc == 0 && code == -ECONNREFUSED && strstr(hilo_error_message(), "127.0.0.1:1") ? 0 : -EPROTO;
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) != 0;
}
