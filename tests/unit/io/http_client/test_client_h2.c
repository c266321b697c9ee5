/* SPDX-License-Identifier: MIT */
/*
 * test_client_h2.c - HTTP/2, spoken with nginx, which asks a site of ours in turn: so what waits at the site is a
 * stream of the connection here. Which version was spoken nginx tells, and which of its connections that was.
 */
#include <curl/curl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/support/certs.h"
#include "tests/unit/io/http_client/web.h"

#ifdef HILO__ASAN
/* Of a stream of HTTP/2 that ends early libcurl 7.88 forgets, now and then, the buffer of what had come: 128 KiB. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:libcurl.so";
}
#endif

/* One nginx for all tests. The two sockets are ours, and given to it: what connects before it has begun waits. */
static struct {
	char folder[64];
	pid_t child;
	unsigned port[2]; /* with HTTP/2, without */
	const char *missing;
} nginx;

static const char *nginx_find(void)
{
	static const char *const places[] = {"/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx",
					     "/usr/local/bin/nginx"};

	for (size_t i = 0; i < array_size(places); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static int port_open(unsigned *port)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(name);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	TASK_CHECK(bind(fd, (struct sockaddr *)&name, size), ==, 0);
	TASK_CHECK(listen(fd, 100), ==, 0);
	TASK_CHECK(getsockname(fd, (struct sockaddr *)&name, &size), ==, 0);
	*port = ntohs(name.sin_port);
	return fd;
}

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", nginx.folder, name);
	file = fopen(path, "w");
	TASK_CHECK(file, !=, NULL);
	TASK_CHECK(fputs(text, file), >=, 0);
	TASK_CHECK(fclose(file), ==, 0);
}

static void nginx_configure(void)
{
	static const char server[] =
		"server { listen 127.0.0.1:%u ssl%s; location / { proxy_pass http://site; } }\n";
	static const char *const temporary[] = {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"};
	char text[8192];
	int n = snprintf(text, sizeof(text),
			 "%sdaemon off; worker_processes 1; pid %s/pid;\n"
			 "error_log %s/log; events { worker_connections 512; }\n"
			 "http { access_log off; ssl_certificate %s/cert; ssl_certificate_key %s/key;\n"
			 "client_max_body_size 0; proxy_buffering off; proxy_request_buffering off;\n"
			 "proxy_http_version 1.1; proxy_set_header Host $host; upstream site { server "
			 "unix:%s/site; }\n"
			 "add_header X-Connection $connection always; add_header X-Protocol $server_protocol "
			 "always;\n",
			 geteuid() == 0 ? "user root root; " : "", nginx.folder, nginx.folder, nginx.folder,
			 nginx.folder, nginx.folder);

	for (size_t i = 0; i < array_size(temporary); i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s_temp_path %s/%s;\n", temporary[i],
			      nginx.folder, temporary[i]);
	n += snprintf(text + n, sizeof(text) - (size_t)n, server, nginx.port[0], " http2");
	n += snprintf(text + n, sizeof(text) - (size_t)n, server, nginx.port[1], "");
	(void)snprintf(text + n, sizeof(text) - (size_t)n, "}\n");
	write_file("conf", text);
	write_file("cert", test_certs.server.cert);
	write_file("key", test_certs.server.key);
	write_file("ca", test_certs.ca.cert);
}

/* [main, before there are threads] */
static void nginx_begin(void)
{
	const char *program = nginx_find();
	char conf[128], folder[128], log[128], sockets[64];
	int fd[2];

	if (!program)
		nginx.missing = "nginx is not installed";
	else if (!(curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_HTTP2))
		nginx.missing = "libcurl was built without HTTP/2";
	if (nginx.missing)
		return;
	strcpy(nginx.folder, "/tmp/hilo-nginx.XXXXXX");
	TASK_CHECK(mkdtemp(nginx.folder), !=, NULL);
	fd[0] = port_open(&nginx.port[0]);
	fd[1] = port_open(&nginx.port[1]);
	nginx_configure();
	snprintf(conf, sizeof(conf), "%s/conf", nginx.folder);
	snprintf(folder, sizeof(folder), "%s/", nginx.folder);
	snprintf(log, sizeof(log), "%s/log", nginx.folder);
	snprintf(sockets, sizeof(sockets), "%d;%d;", fd[0], fd[1]);
	nginx.child = fork();
	TASK_CHECK(nginx.child, >=, 0);
	if (nginx.child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
		(void)setenv("NGINX", sockets, 1);
		(void)execl(program, program, "-p", folder, "-c", conf, "-e", log, (char *)NULL);
		_exit(127);
	}
	close(fd[0]);
	close(fd[1]);
}

static void nginx_end(void)
{
	char command[128];

	if (nginx.missing)
		return;
	(void)kill(nginx.child, SIGTERM);
	(void)waitpid(nginx.child, NULL, 0);
	snprintf(command, sizeof(command), "rm -rf %s", nginx.folder);
	(void)!system(command);
}

#define H2_TEST(name)                                                                                        \
	static int name##_body(void *arg);                                                                   \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		if (nginx.missing)                                                                           \
			TEST_SKIP(nginx.missing);                                                            \
		test_each(name##_body);                                                                      \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) void *arg)

/* The site behind nginx, and a session. */
struct far {
	struct site site;
	hilo_http_session *session;
	char ca[128], path[128], base[2][64];
};

static void far_begin(struct far *far, int version)
{
	hilo_http_session_opts opts = {.size = sizeof(opts), .version = version, .ca_file = far->ca};
	hilo_server_opts listen = {.size = sizeof(listen), .path = far->path};
	hilo_http_opts http = {.size = sizeof(http), .server = &listen, .body = UINT64_MAX};

	snprintf(far->ca, sizeof(far->ca), "%s/ca", nginx.folder);
	snprintf(far->path, sizeof(far->path), "%s/site", nginx.folder);
	for (int i = 0; i < 2; i++)
		snprintf(far->base[i], sizeof(far->base[i]), "https://127.0.0.1:%u", nginx.port[i]);
	site_init(&far->site);
	TASK_CHECK(hilo_http_start_server(far->site.router, &http, &far->site.server, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_http_session_new(&opts, &far->session), ==, 0);
}

static hilo_http_session_stats far_stats(struct far *far)
{
	hilo_http_session_stats stats = {.size = sizeof(stats)};

	TASK_CHECK(hilo_http_session_get_stats(far->session, &stats), ==, 0);
	return stats;
}

static void far_end(struct far *far)
{
	TASK_CHECK(hilo_http_session_close(far->session, HILO_FOREVER), ==, 0);
	hilo_http_session_free(far->session);
	site_end(&far->site);
}

/* The response to GET @path, of the server with (0) or without (1) HTTP/2. */
static hilo_http_response *far_get(struct far *far, int server, const char *path)
{
	hilo_http_response *response = NULL;
	char url[128];
	int rc;

	snprintf(url, sizeof(url), "%s%s", far->base[server], path);
	rc = hilo_http_get(far->session, url, &response, HILO_FOREVER);
	if (rc < 0)
		fprintf(stderr, "%s\n", hilo_error_message());
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(hilo_http_response_status(response), ==, 200);
	return response;
}

/* Its body is @wanted; it was spoken as @version, and on the connection with that number of nginx's. */
static long far_check(hilo_http_response *response, const char *wanted, int version)
{
	long connection = atol(hilo_http_response_field(response, "X-Connection"));
	const char *protocol = version == 20 ? "HTTP/2.0" : version == 11 ? "HTTP/1.1" : "HTTP/1.0";
	char *text;

	TASK_CHECK_TEXT(hilo_http_response_field(response, "X-Protocol"), protocol);
	/* A server answers a request of HTTP/1.0 with its own version. */
	TASK_CHECK(hilo_http_response_version(response), ==, version == 10 ? 11 : version);
	TASK_CHECK(hilo_http_response_read_all(response, 1000, &text, HILO_FOREVER), >=, 0);
	TASK_CHECK_TEXT(text, wanted);
	free(text);
	hilo_http_response_free(response);
	return connection;
}

H2_TEST(test_version_is_that_which_both_speak)
{
	static const int versions[] = {0, 20, 11, 10};

	for (size_t i = 0; i < array_size(versions); i++) {
		int asked = versions[i];
		struct far far;

		far_begin(&far, asked);
		far_check(far_get(&far, 0, "/"), "hello", asked == 0 ? 20 : asked);
		far_check(far_get(&far, 1, "/"), "hello", asked == 10 ? 10 : 11);
		far_end(&far);
	}
	return 0;
}

struct asker {
	struct far *far;
	long connection;
	bool ends; /* it will be cancelled */
	hilo_task *task;
};

static int asks_and_waits(void *arg)
{
	struct asker *asker = arg;
	hilo_http_response *response;
	char url[128];

	snprintf(url, sizeof(url), "%s/wait", asker->far->base[0]);
	if (asker->ends)
		TASK_CHECK(hilo_http_get(asker->far->session, url, &response, HILO_FOREVER), ==, -ECANCELED);
	else
		asker->connection = far_check(far_get(asker->far, 0, "/wait"), "at last", 20);
	return 0;
}

#define STREAMS 40

static void askers_begin(struct asker askers[], struct far *far, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		askers[i].far = far;
		askers[i].task = hilo_spawn(asks_and_waits, &askers[i]);
	}
	TEST_UNTIL(load_relaxed(&far->site.waiting) == n);
}

H2_TEST(test_requests_share_one_connection_at_the_same_time)
{
	struct asker askers[STREAMS] = {0};
	struct far far;

	far_begin(&far, 20);
	askers_begin(askers, &far, STREAMS); /* all are there, none is answered */
	far_check(far_get(&far, 0, "/"), "hello", 20);
	TASK_CHECK(hilo_event_set(&far.site.go), ==, 0);
	for (unsigned i = 0; i < STREAMS; i++) {
		TASK_CHECK(hilo_join(askers[i].task, HILO_FOREVER), ==, 0);
		TASK_CHECK(askers[i].connection, ==, askers[0].connection);
	}
	TASK_CHECK(far_stats(&far).connections, ==, 1);
	TASK_CHECK(far_stats(&far).failed, ==, 0);
	far_end(&far);
	return 0;
}

/* Streams end before their header is there, and in the middle of a body: the others, and the connection, go on. */
H2_TEST(test_stream_that_ends_early_leaves_the_others_alone)
{
	struct asker askers[8] = {0};
	hilo_http_response *large;
	struct far far;
	char buf[1000];
	long connection;

	far_begin(&far, 20);
	for (unsigned i = 0; i < 4; i++)
		askers[i].ends = true;
	askers_begin(askers, &far, array_size(askers));
	large = far_get(&far, 0, "/sized/3000000");
	TASK_CHECK(hilo_http_response_version(large), ==, 20);
	connection = atol(hilo_http_response_field(large, "X-Connection"));
	TASK_CHECK(hilo_http_response_read(large, buf, sizeof(buf), HILO_FOREVER), >, 0);
	TASK_CHECK(hilo_http_response_close(large, HILO_FOREVER), ==, 0);
	hilo_http_response_free(large);
	for (unsigned i = 0; i < 4; i++) {
		TASK_CHECK(hilo_task_cancel(askers[i].task), ==, 0);
		TASK_CHECK(hilo_join(askers[i].task, HILO_FOREVER), ==, 0);
	}
	TASK_CHECK(hilo_event_set(&far.site.go), ==, 0);
	for (unsigned i = 4; i < array_size(askers); i++) {
		TASK_CHECK(hilo_join(askers[i].task, HILO_FOREVER), ==, 0);
		TASK_CHECK(askers[i].connection, ==, connection);
	}
	TASK_CHECK(far_check(far_get(&far, 0, "/"), "hello", 20), ==, connection);
	TASK_CHECK(far_stats(&far).connections, ==, 1);
	far_end(&far);
	return 0;
}

/* ---- Bodies ---- */

#define UP ((size_t)1000000)

struct upload {
	size_t sent;
};

static ssize_t gives(void *buf, size_t size, void *arg)
{
	struct upload *upload = arg;
	size_t n = UP - upload->sent;

	n = n < size ? n : size;
	n = n < 7000 ? n : 7000;
	bytes_fill(buf, n, upload->sent);
	upload->sent += n;
	return (ssize_t)n;
}

/*
 * In pieces of which nobody knows how many come; the site sends it back when it has all of it. Not as it comes: once
 * nginx has passed on the header of the answer it does not go on with a write to the site that found no room, whoever
 * asks it.
 */
H2_TEST(test_bodies_stream_up_and_down)
{
	struct upload upload = {0};
	hilo_http_fetch_opts fetch = {.size = sizeof(fetch), .method = "POST", .read = gives, .arg = &upload};
	hilo_http_response *response;
	size_t have = 0;
	struct far far;
	char url[128], buf[5000];
	ssize_t n;
	int rc;

	far_begin(&far, 0);
	snprintf(url, sizeof(url), "%s/echo", far.base[0]);
	fetch.url = url;
	rc = hilo_http_fetch(far.session, &fetch, &response, HILO_FOREVER);
	if (rc < 0)
		fprintf(stderr, "%s\n", hilo_error_message());
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(hilo_http_response_version(response), ==, 20);
	TASK_CHECK(upload.sent, ==, UP);
	while ((n = hilo_http_response_read(response, buf, sizeof(buf), HILO_FOREVER)) > 0) {
		bytes_check(buf, (size_t)n, have);
		have += (size_t)n;
	}
	if (n < 0)
		fprintf(stderr, "%s, after %zu bytes, %zu of which were sent\n", hilo_error_message(), have,
			upload.sent);
	TASK_CHECK(n, ==, 0);
	TASK_CHECK(have, ==, UP);
	TASK_CHECK(upload.sent, ==, UP);
	hilo_http_response_free(response);
	far_end(&far);
	return 0;
}

/* A body that nobody reads holds its own stream alone. */
H2_TEST(test_body_that_nobody_reads_keeps_no_other)
{
	hilo_http_response *large;
	struct far far;
	char buf[5000];
	size_t have = 0;
	ssize_t n;

	far_begin(&far, 20);
	large = far_get(&far, 0, "/sized/3000000");
	for (int i = 0; i < 5; i++)
		far_check(far_get(&far, 0, "/"), "hello", 20);
	while ((n = hilo_http_response_read(large, buf, sizeof(buf), HILO_FOREVER)) > 0) {
		bytes_check(buf, (size_t)n, have);
		have += (size_t)n;
	}
	TASK_CHECK(have, ==, 3000000);
	hilo_http_response_free(large);
	TASK_CHECK(far_stats(&far).connections, ==, 1);
	far_end(&far);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version_is_that_which_both_speak),
		cmocka_unit_test(test_requests_share_one_connection_at_the_same_time),
		cmocka_unit_test(test_stream_that_ends_early_leaves_the_others_alone),
		cmocka_unit_test(test_bodies_stream_up_and_down),
		cmocka_unit_test(test_body_that_nobody_reads_keeps_no_other),
	};
	int rc;

	test_begin();
	test_certs_begin();
	nginx_begin();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	nginx_end();
	test_certs_end();
	return rc;
}
