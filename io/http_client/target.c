/* SPDX-License-Identifier: MIT */
/* target.c - what URLs say, read by libcurl's own parser, so that both of us understand the same. */
#include "io/http_client/client_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include <hilo/runtime/error.h>

#include "scheduler/base/mem.h"

#ifdef CURLU_PUNYCODE
#define HOST_FLAGS CURLU_PUNYCODE
#else
#define HOST_FLAGS 0
#endif

static int url_fail(const char *url, CURLUcode code)
{
	if (code == CURLUE_OUT_OF_MEMORY)
		return -ENOMEM;
	return hilo_fail(-EINVAL, "%s: %s", url, curl_url_strerror(code));
}

/* The part, or NULL if there is none. */
static CURLUcode url_part(CURLU *handle, CURLUPart part, unsigned flags, CURLUcode none, char **ret)
{
	CURLUcode code = curl_url_get(handle, part, ret, flags);

	return code == none ? CURLUE_OK : code;
}

static CURLUcode target_parts(CURLU *handle, struct target *target)
{
	char *port = NULL;
	CURLUcode code = curl_url_get(handle, CURLUPART_SCHEME, &target->scheme, 0);

	code = code ? code : curl_url_get(handle, CURLUPART_HOST, &target->host, HOST_FLAGS);
	code = code ? code : curl_url_get(handle, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
	code = code ? code : url_part(handle, CURLUPART_USER, CURLU_URLDECODE, CURLUE_NO_USER, &target->user);
	code = code ? code
		    : url_part(handle, CURLUPART_PASSWORD, CURLU_URLDECODE, CURLUE_NO_PASSWORD,
			       &target->password);
	code = code ? code : curl_url_set(handle, CURLUPART_USER, NULL, 0);
	code = code ? code : curl_url_set(handle, CURLUPART_PASSWORD, NULL, 0);
	code = code ? code : curl_url_set(handle, CURLUPART_FRAGMENT, NULL, 0);
	code = code ? code : curl_url_get(handle, CURLUPART_URL, &target->url, 0);
	if (port)
		target->port = (unsigned)strtoul(port, NULL, 10);
	curl_free(port);
	return code;
}

int hilo__client_target_parse(const char *base, const char *url, struct target *ret)
{
	struct target target = {0};
	CURLU *handle = curl_url();
	CURLUcode code;
	int rc = 0;

	if (!handle)
		return -ENOMEM;
	if (base)
		(void)curl_url_set(handle, CURLUPART_URL, base, 0);
	code = curl_url_set(handle, CURLUPART_URL, url, CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME);
	if (code == CURLUE_OK)
		code = curl_url_get(handle, CURLUPART_SCHEME, &target.scheme, 0);
	if (code != CURLUE_OK)
		rc = url_fail(url, code);
	else if (strcmp(target.scheme, "http") != 0 && strcmp(target.scheme, "https") != 0)
		rc = hilo_fail(-EPROTONOSUPPORT, "%s: neither http nor https", url);
	curl_free(target.scheme);
	target.scheme = NULL;
	if (rc == 0) {
		code = target_parts(handle, &target);
		rc = code == CURLUE_OK ? 0 : url_fail(url, code);
	}
	curl_url_cleanup(handle);
	if (rc < 0)
		hilo__client_target_free(&target);
	else
		*ret = target;
	return rc;
}

void hilo__client_target_free(struct target *target)
{
	curl_free(target->url);
	curl_free(target->scheme);
	curl_free(target->host);
	curl_free(target->user);
	curl_free(target->password);
	memset(target, 0, sizeof(*target));
}

bool hilo__client_target_same(const struct target *a, const struct target *b)
{
	return !strcmp(a->scheme, b->scheme) && !strcasecmp(a->host, b->host) && a->port == b->port;
}

int hilo__client_proxy_parse(const char *url, struct settings *set)
{
	static const char *const schemes[] = {"http", "https", "socks4a", "socks5h"};
	char *scheme = NULL, *host = NULL, *port = NULL;
	CURLU *handle = curl_url();
	bool known = false;
	CURLUcode code;

	if (!handle)
		return -ENOMEM;
	code = curl_url_set(handle, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
	code = code ? code : curl_url_get(handle, CURLUPART_SCHEME, &scheme, 0);
	code = code ? code : curl_url_get(handle, CURLUPART_HOST, &host, HOST_FLAGS);
	for (size_t i = 0; !code && i < array_size(schemes); i++)
		known = known || !strcmp(scheme, schemes[i]);
	/* As libcurl has it: 443 of https, else 1080. */
	if (!code && curl_url_get(handle, CURLUPART_PORT, &port, 0) != CURLUE_OK)
		port = NULL;
	if (!code) {
		set->proxy_port = port			    ? (unsigned)strtoul(port, NULL, 10)
				  : strcmp(scheme, "https") ? 1080
							    : 443;
		set->proxy_host = hilo__strdup(host);
		code = set->proxy_host ? CURLUE_OK : CURLUE_OUT_OF_MEMORY;
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(handle);
	if (code)
		return url_fail(url, code);
	return known ? 0 : hilo_fail(-EINVAL, "the proxy %s: of no kind that is known", url);
}

/* @host is @name, of @size bytes, or below it. */
static bool host_matches(const char *host, const char *name, size_t size)
{
	size_t length = strlen(host);

	if (size && *name == '.') {
		name++;
		size--;
	}
	if (size == 1 && *name == '*')
		return true;
	return size && length >= size && !strncasecmp(host + length - size, name, size) &&
	       (length == size || host[length - size - 1] == '.');
}

bool hilo__client_is_direct(const struct settings *set, const struct target *target)
{
	const char *at = set->no_proxy;

	while (at && *at) {
		size_t size = strcspn(at, ", ");

		if (host_matches(target->host, at, size))
			return true;
		at += size + strspn(at + size, ", ");
	}
	return false;
}
