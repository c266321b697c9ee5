/* SPDX-License-Identifier: MIT */
/*
 * http.c - serves one request over a stream in memory with the installed libraries.
 */
#include <hilo/hilo.h>
#include <hilo/http/server.h>

#include <stdio.h>
#include <string.h>

static int hello(hilo_http_request *request, void *arg)
{
	(void)arg;
	return hilo_http_respond(request, 200, "text/plain", "hello", 5, HILO_FOREVER);
}

static int main_task(void *arg)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	hilo_http_router *router = NULL;
	hilo_http_server *server = NULL;
	hilo_stream *stream[2];
	char answer[512] = "";
	int rc = hilo_http_router_new(&router);

	(void)arg;
	if (rc == 0)
		rc = hilo_http_router_add(router, "GET", "/", hello, NULL);
	if (rc == 0)
		rc = hilo_http_server_new(router, NULL, &server);
	if (rc == 0)
		rc = hilo_stream_pair(0, NULL, stream);
	if (rc < 0)
		return rc;
	(void)hilo_stream_write(stream[0], text, strlen(text), HILO_FOREVER);
	(void)hilo_stream_write_eof(stream[0]);
	rc = hilo_http_serve(server, stream[1], HILO_FOREVER);
	(void)hilo_stream_read(stream[0], answer, sizeof(answer) - 1, HILO_FOREVER);
	hilo_stream_free(stream[0]);
	hilo_stream_free(stream[1]);
	hilo_http_server_free(server);
	hilo_http_router_free(router);
	return rc < 0 ? rc : strstr(answer, "hello") != NULL;
}

int main(void)
{
	int rc = hilo_run(main_task, NULL, NULL);

	printf("http: %d\n", rc);
	return rc == 1 ? 0 : 1;
}
