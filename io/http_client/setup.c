/* SPDX-License-Identifier: MIT */
/*
 * setup.c - what libcurl is told of a request.
 *
 * Names are not its business: they are resolved before, and it is told the addresses (CURLOPT_RESOLVE), so that it
 * tries them side by side, keeps connections by name, and verifies names. Redirects are not either (fetch.c).
 */
#include "io/http_client/client_impl.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include <hilo/runtime/error.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

/* [loop] Sockets that no child process gets; and why there is none, which libcurl does not tell. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	int fd = (int)sys_result(
		socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol));

	(void)purpose;
	if (fd >= 0)
		return fd;
	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOBUFS || fd == -ENOMEM)
		hilo__client_fail(arg, fd, "there is no descriptor for its socket");
	return CURL_SOCKET_BAD;
}

/* ---- Header fields ---- */

static bool is_token(const char *text)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	if (!*text)
		return false;
	for (; *text; text++)
		if (!((*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'z') ||
		      (*text >= 'A' && *text <= 'Z') || strchr(others, *text)))
			return false;
	return true;
}

bool hilo__client_is_value(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' && *text != '\t')
			return false;
	return true;
}

static int list_add(struct curl_slist **list, const char *text)
{
	struct curl_slist *more = curl_slist_append(*list, text);

	if (!more)
		return -ENOMEM;
	*list = more;
	return 0;
}

/* Fields that are for the host that was asked at first: by a name, or the line that begins with it. */
static bool is_for_first(const char *line)
{
	static const char *const names[] = {"Authorization", "Cookie", "Host", "Proxy-Authorization"};
	size_t length = strcspn(line, ":;");

	for (size_t i = 0; i < array_size(names); i++)
		if (strlen(names[i]) == length && !strncasecmp(names[i], line, length))
			return true;
	return false;
}

/* A line as libcurl wants it: "Name: value"; "Name;" for one without value; "Name:" for one that is not sent. */
static int header_add(struct curl_slist **list, const char *name, const char *value)
{
	size_t size = strlen(name) + (value ? strlen(value) : 0) + 3;
	char *line;
	int rc;

	line = hilo__malloc(size);
	if (!line)
		return -ENOMEM;
	if (value && *value)
		(void)snprintf(line, size, "%s: %s", name, value);
	else
		(void)snprintf(line, size, value ? "%s;" : "%s:", name);
	rc = list_add(list, line);
	hilo__free(line);
	return rc;
}

int hilo__client_headers(struct curl_slist **list, const hilo_http_header *headers, size_t n, bool foreign)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		const hilo_http_header *header = &headers[i];

		if (!header->name || !is_token(header->name))
			return hilo_fail(-EINVAL, "header %zu: the name %s", i,
					 header->name ? header->name : "NULL");
		if (header->value && !hilo__client_is_value(header->value))
			return hilo_fail(-EINVAL, "header %s: its value has control characters",
					 header->name);
		if (!foreign || !is_for_first(header->name))
			rc = header_add(list, header->name, header->value);
	}
	return rc;
}

/* Whether the line has the name of one of @headers. */
static bool line_is_replaced(const char *line, const hilo_http_header *headers, size_t n)
{
	size_t length = strcspn(line, ":;");

	for (size_t i = 0; i < n; i++)
		if (strlen(headers[i].name) == length && !strncasecmp(headers[i].name, line, length))
			return true;
	return false;
}

static bool list_has(const struct curl_slist *list, const char *name)
{
	const hilo_http_header header = {name, NULL};

	while (list && !line_is_replaced(list->data, &header, 1))
		list = list->next;
	return list;
}

/* The encodings that libcurl asks for if it is left to it; into @text. "": none. */
static const char *encodings_write(char text[64])
{
	int features = curl_version_info(CURLVERSION_NOW)->features;

	(void)snprintf(text, 64, "%s%s%s", features & CURL_VERSION_LIBZ ? ", deflate, gzip" : "",
		       features & CURL_VERSION_BROTLI ? ", br" : "",
		       features & CURL_VERSION_ZSTD ? ", zstd" : "");
	return *text ? text + 2 : text;
}

int hilo__client_usual(struct settings *set)
{
	char text[64];
	const char *encodings = set->flags & HILO_HTTP_IDENTITY ? "" : encodings_write(text);
	const hilo_http_header ours[] = {{"User-Agent", set->user_agent}, {"Accept-Encoding", encodings}};
	int rc = 0;

	for (struct curl_slist *line = set->headers; line && rc == 0; line = line->next)
		rc = list_add(&set->usual, line->data);
	for (size_t i = 0; i < array_size(ours) && rc == 0; i++)
		if (*ours[i].value && !list_has(set->headers, ours[i].name))
			rc = hilo__client_headers(&set->usual, &ours[i], 1, false);
	return rc;
}

/* Its fields are those that are usual in its session. */
static bool is_usual(const struct fetch *fetch)
{
	return !fetch->opts->n_headers && !fetch->body && !fetch->foreign &&
	       !(fetch->flags & ~fetch->session->set.flags & HILO_HTTP_IDENTITY);
}

static int setup_headers(struct transfer *t, const struct fetch *fetch)
{
	const hilo_http_fetch_opts *opts = fetch->opts;
	int rc = hilo__client_headers(&t->headers, opts->headers, opts->n_headers, fetch->foreign);
	bool typed = false;

	for (size_t i = 0; i < opts->n_headers && rc == 0; i++)
		typed = typed || !strcasecmp(opts->headers[i].name, "Content-Type");
	for (struct curl_slist *line = t->session->set.headers; line && rc == 0; line = line->next)
		if (!line_is_replaced(line->data, opts->headers, opts->n_headers) &&
		    !(fetch->foreign && is_for_first(line->data)))
			rc = list_add(&t->headers, line->data);
	/* libcurl would call it a form. */
	if (rc == 0 && fetch->body && !typed) {
		const hilo_http_header type = {"Content-Type", opts->type};

		rc = hilo__client_headers(&t->headers, &type, 1, false);
	}
	/* On 417 libcurl would ask again by itself, and give what comes then as the rest of the first answer. */
	if (rc == 0 && fetch->body && !list_has(t->headers, "Expect"))
		rc = list_add(&t->headers, "Expect:");
	return rc;
}

/* ---- Options ---- */

#define SET(option, value) (code = code ? code : curl_easy_setopt(easy, CURLOPT_##option, value))

static CURLcode setup_body(struct transfer *t, const struct fetch *fetch)
{
	const hilo_http_fetch_opts *opts = fetch->opts;
	CURL *easy = t->easy;
	CURLcode code = CURLE_OK;

	if (!strcmp(fetch->method, "HEAD")) {
		SET(NOBODY, 1L);
	} else if (fetch->body && opts->read) {
		SET(UPLOAD, 1L);
		SET(READFUNCTION, hilo__client_on_send);
		SET(READDATA, t);
		SET(INFILESIZE_LARGE, opts->length ? (curl_off_t)opts->length : (curl_off_t)-1);
		SET(CUSTOMREQUEST, fetch->method);
	} else if (fetch->body) {
		SET(POST, 1L);
		SET(POSTFIELDSIZE_LARGE, (curl_off_t)opts->data_size);
		SET(COPYPOSTFIELDS, opts->data ? opts->data : "");
		SET(CUSTOMREQUEST, fetch->method);
	} else if (strcmp(fetch->method, "GET") != 0) {
		SET(CUSTOMREQUEST, fetch->method);
	}
	return code;
}

/* Whom the session trusts, as a server and as a proxy. */
static CURLcode setup_trust(struct transfer *t, const struct fetch *fetch)
{
	const struct settings *set = &t->session->set;
	CURL *easy = t->easy;
	CURLcode code = CURLE_OK;

	if (set->ca_file) {
		SET(CAINFO, set->ca_file);
		SET(PROXY_CAINFO, set->ca_file);
	}
	if (set->ca_folder) {
		SET(CAPATH, set->ca_folder);
		SET(PROXY_CAPATH, set->ca_folder);
	}
	if (fetch->flags & HILO_HTTP_INSECURE) {
		SET(SSL_VERIFYPEER, 0L);
		SET(SSL_VERIFYHOST, 0L);
		SET(PROXY_SSL_VERIFYPEER, 0L);
		SET(PROXY_SSL_VERIFYHOST, 0L);
	}
	return code;
}

static CURLcode setup_session(struct transfer *t, const struct fetch *fetch)
{
	const struct settings *set = &t->session->set;
	bool direct = !set->proxy || hilo__client_is_direct(set, &fetch->target);
	CURL *easy = t->easy;
	CURLcode code = setup_trust(t, fetch);

	SET(SHARE, t->session->share);
	if (!(fetch->flags & HILO_HTTP_NO_COOKIES))
		SET(COOKIEFILE, "");
	if (!is_usual(fetch) || !direct) /* proxies have none of the other fields */
		SET(USERAGENT, set->user_agent);
	SET(PROXY, direct ? "" : set->proxy);
	SET(NOPROXY, "");
	SET(SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CONNECTTIMEOUT_MS, (long)(set->connect_time / HILO_MILLISECOND + 1));
	if (set->cert_file)
		SET(SSLCERT, set->cert_file);
	if (set->key_file)
		SET(SSLKEY, set->key_file);
	if (set->passphrase)
		SET(KEYPASSWD, set->passphrase);
	if (!(fetch->flags & HILO_HTTP_IDENTITY))
		SET(ACCEPT_ENCODING, "");
	return code;
}

static long setup_version(const struct settings *set)
{
	if (set->version == 10)
		return CURL_HTTP_VERSION_1_0;
	return set->version == 11 ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS;
}

static CURLcode setup_request(struct transfer *t, const struct fetch *fetch)
{
	bool named = fetch->opts->user && !fetch->foreign;
	const char *user = named ? fetch->opts->user : fetch->target.user;
	const char *password = named ? fetch->opts->password : fetch->target.password;
	CURL *easy = t->easy;
	CURLcode code = CURLE_OK;

	SET(PRIVATE, t);
	SET(ERRORBUFFER, t->error);
	SET(NOSIGNAL, 1L);
	SET(NOPROGRESS, 1L);
	SET(URL, fetch->target.url);
	SET(PROTOCOLS_STR, "http,https");
	SET(HTTP_VERSION, setup_version(&t->session->set));
	if (t->session->set.version == 20)
		SET(PIPEWAIT, 1L);
	SET(HEADERFUNCTION, hilo__client_on_header);
	SET(HEADERDATA, t);
	SET(WRITEFUNCTION, hilo__client_on_body);
	SET(WRITEDATA, t);
	SET(OPENSOCKETFUNCTION, on_open);
	SET(OPENSOCKETDATA, t);
	SET(HTTPHEADER, is_usual(fetch) ? t->session->set.usual : t->headers);
	if (t->names)
		SET(RESOLVE, t->names);
	if (user) {
		SET(HTTPAUTH, (long)CURLAUTH_BASIC);
		SET(USERNAME, user);
		SET(PASSWORD, password ? password : "");
	}
	return code;
}

int hilo__client_setup(struct transfer *t, const struct fetch *fetch)
{
	CURLcode code;
	int rc = is_usual(fetch) ? 0 : setup_headers(t, fetch);

	if (rc == 0 && fetch->names)
		rc = list_add(&t->names, fetch->names);
	if (rc < 0)
		return rc;
	code = setup_request(t, fetch);
	code = code ? code : setup_session(t, fetch);
	code = code ? code : setup_body(t, fetch);
	if (code == CURLE_OK)
		return 0;
	return code == CURLE_OUT_OF_MEMORY
		       ? -ENOMEM
		       : hilo_fail(hilo__client_code(code, t->easy), "%s", curl_easy_strerror(code));
}
