/* SPDX-License-Identifier: MIT */
/*
 * resolve.c - names and addresses as users ask for them: what need not be looked up, and how the rest is asked for.
 */
#include <hilo/io/resolve.h>

#include <hilo/runtime/error.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "io/resolve_impl.h"
#include "runtime/contend_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/mem.h"

#define RESOLVE_FLAGS (HILO_RESOLVE_PASSIVE | HILO_RESOLVE_NUMERIC | HILO_RESOLVE_FRESH)
#define NAME_FLAGS (HILO_RESOLVE_NAME_REQUIRED | HILO_RESOLVE_NAME_NUMERIC | HILO_RESOLVE_NAME_DATAGRAM)

/* First bytes of keys. */
enum {
	KEY_HOST = 1,
	KEY_ADDRESS = 2
};

static void key_begin(struct resolve_key *key, int kind, int family, int type, unsigned flags)
{
	key->length = 4;
	key->bytes[0] = (char)kind;
	key->bytes[1] = (char)family;
	key->bytes[2] = (char)type;
	key->bytes[3] = (char)flags;
}

/* Returns where it is. The callers have seen to it that it fits. */
static const char *key_add(struct resolve_key *key, const void *bytes, size_t size)
{
	char *at = key->bytes + key->length;

	memcpy(at, bytes, size);
	key->length += (unsigned)size;
	return at;
}

/* A text, in lower case as names are compared, and its end; NULL is another one than "". */
static const char *key_add_text(struct resolve_key *key, const char *text)
{
	char *at = key->bytes + key->length;

	if (!text) {
		(void)key_add(key, "\377", 2);
		return NULL;
	}
	(void)key_add(key, text, strlen(text) + 1);
	for (char *c = at; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c | 0x20);
	return at;
}

static void key_end(struct resolve_key *key)
{
	uint32_t hash = 2166136261u; /* FNV-1a, and the upper bits mixed into the row */

	for (unsigned i = 0; i < key->length; i++)
		hash = (hash ^ (unsigned char)key->bytes[i]) * 16777619u;
	key->hash = hash ^ hash >> 15;
}

int hilo__resolve_make(struct lookup *lookup)
{
	hilo_address found[HILO_RESOLVE_MAX];
	struct resolve_names *names;
	int n;

	if (lookup->query.address) {
		names = hilo__calloc(1, sizeof(*names));
		lookup->answer = names;
		return names ? lookup->settings.name(&lookup->query, names->host, names->service,
						     lookup->settings.arg)
			     : -ENOMEM;
	}
	n = lookup->settings.lookup(&lookup->query, found, HILO_RESOLVE_MAX, lookup->settings.arg);
	if (n > HILO_RESOLVE_MAX)
		n = HILO_RESOLVE_MAX;
	if (n == 0)
		return HILO_ENONAME;
	if (n < 0)
		return n;
	lookup->answer = hilo__malloc((size_t)n * sizeof(*found));
	if (!lookup->answer)
		return -ENOMEM;
	memcpy(lookup->answer, found, (size_t)n * sizeof(*found));
	return n;
}

/* What the look-up has failed with, as the caller's failure. */
static int answer_failed(const char *call, const struct lookup *lookup, const char *what)
{
	const char *text = hilo__error_text(lookup->error);

	return hilo_fail(lookup->code, "%s: %s: %s", call, what, text ? text : hilo_strerror(lookup->code));
}

/* A port as a number. -1: it is a name. */
static int port_number(const char *service)
{
	unsigned port = 0;

	if (!service)
		return 0;
	for (const char *c = service; *c; c++) {
		if (*c < '0' || *c > '9' || port > 65535)
			return -1;
		port = port * 10 + (unsigned)(*c - '0');
	}
	return *service && port <= 65535 ? (int)port : -1;
}

struct answer {
	hilo_address *ret;
	size_t max, n;
};

static void answer_add(struct answer *answer, const hilo_address *address)
{
	if (answer->n < answer->max)
		answer->ret[answer->n] = *address;
	answer->n++;
}

/* Without a host: any address, or the loopback. */
static void answer_no_host(struct answer *answer, const hilo_resolve_opts *opts, unsigned port)
{
	static const char *const hosts[2][2] = {{"::1", "127.0.0.1"}, {"0.0.0.0", "::"}};
	bool passive = opts->flags & HILO_RESOLVE_PASSIVE;
	hilo_address address;

	for (unsigned i = 0; i < 2; i++)
		if (hilo_address_ip(hosts[passive][i], port, &address) == 0 &&
		    (!opts->family || opts->family == hilo_address_family(&address)))
			answer_add(answer, &address);
}

/* What need not be looked up. How many; 0: it has to be; or a failure. */
static int resolve_at_once(const char *host, const char *service, const hilo_resolve_opts *opts,
			   struct answer *answer)
{
	int port = port_number(service), rc;
	hilo_address address;

	if (!host && port >= 0) {
		answer_no_host(answer, opts, (unsigned)port);
		return (int)answer->n;
	}
	rc = host ? hilo_address_ip(host, port < 0 ? 0 : (unsigned)port, &address) : -EINVAL;
	if (rc == -ENODEV)
		return hilo_fail(rc, "hilo_resolve: %s: no such zone", host);
	if (rc == 0 && opts->family && opts->family != hilo_address_family(&address))
		return hilo_fail(HILO_ENONAME, "hilo_resolve: %s is no address of the family asked for",
				 host);
	if (rc == 0 && port >= 0) {
		answer_add(answer, &address);
		return 1;
	}
	if (opts->flags & HILO_RESOLVE_NUMERIC)
		return hilo_fail(HILO_ENONAME, "hilo_resolve: %s is a name, only numbers were asked for",
				 rc < 0 && host ? host : service);
	return 0;
}

static int opts_read(const hilo_resolve_opts *given, hilo_resolve_opts *opts)
{
	int rc = given ? SIZED_IN(hilo_resolve_opts, opts, given, none) : 0;

	if (rc < 0)
		return rc;
	if (opts->family != AF_UNSPEC && opts->family != AF_INET && opts->family != AF_INET6)
		return hilo_fail(-EINVAL, "hilo_resolve_opts.family is %d", opts->family);
	opts->type = opts->type ? opts->type : SOCK_STREAM;
	if (opts->type != SOCK_STREAM && opts->type != SOCK_DGRAM)
		return hilo_fail(-EINVAL, "hilo_resolve_opts.type is %d", opts->type);
	if (opts->flags & ~RESOLVE_FLAGS)
		return hilo_fail(-EINVAL, "hilo_resolve_opts.flags is %#x: unknown flag", opts->flags);
	return 0;
}

/* Look it up. */
static int resolve_ask(const char *host, const char *service, const hilo_resolve_opts *opts,
		       struct answer *answer, hilo_time deadline)
{
	hilo_resolve_query query = {.size = sizeof(query), .family = opts->family, .type = opts->type};
	struct lookup *lookup;
	struct resolve_key key;
	int rc;

	query.flags = opts->flags & (HILO_RESOLVE_PASSIVE | HILO_RESOLVE_FRESH);
	key_begin(&key, KEY_HOST, query.family, query.type, query.flags & HILO_RESOLVE_PASSIVE);
	query.host = key_add_text(&key, host);
	query.service = key_add_text(&key, service);
	key_end(&key);
	rc = hilo__resolve_ask("hilo_resolve", &key, &query, deadline, &lookup);
	if (rc < 0)
		return rc;
	if (lookup->code < 0)
		rc = answer_failed("hilo_resolve", lookup, host ? host : service);
	for (int i = 0; i < lookup->code; i++)
		answer_add(answer, (const hilo_address *)lookup->answer + i);
	hilo__resolve_unref(lookup);
	return rc < 0 ? rc : (int)answer->n;
}

int hilo_resolve(const char *host, const char *service, const hilo_resolve_opts *given, hilo_address *ret,
		 size_t max, hilo_time deadline)
{
	hilo_resolve_opts opts = {.size = sizeof(opts)};
	struct answer answer = {.ret = ret, .max = max};
	int rc;

	if (!ret && max)
		return hilo_fail(-EINVAL, "hilo_resolve: ret is NULL");
	rc = opts_read(given, &opts);
	if (rc < 0)
		return rc;
	if (contend_is_interrupted(thread_self()))
		return hilo__error_own(-ECANCELED);
	if (host && !*host)
		host = NULL;
	if (host && strlen(host) > RESOLVE_NAME_MAX)
		return hilo_fail(HILO_ENONAME, "hilo_resolve: a name of %zu bytes: no host has one",
				 strlen(host));
	if (service && strlen(service) >= RESOLVE_SERVICE_SIZE)
		return hilo_fail(HILO_ENONAME, "hilo_resolve: %.80s: no service has such a name", service);
	rc = resolve_at_once(host, service, &opts, &answer);
	return rc ? rc : resolve_ask(host, service, &opts, &answer, deadline);
}

/* @text into the place that the caller has for it. */
static int name_put(const char *what, const char *text, char *buf, size_t size)
{
	size_t length = strlen(text);

	if (!buf || length < size) {
		if (buf)
			memcpy(buf, text, length + 1);
		return 0;
	}
	return hilo_fail(-EMSGSIZE, "hilo_resolve_name: the %s %s needs %zu bytes, there is room for %zu",
			 what, text, length + 1, size);
}

static int names_put(const struct resolve_names *names, char *host, size_t host_size, char *service,
		     size_t service_size)
{
	int rc = name_put("host", names->host, host, host_size);

	return rc < 0 ? rc : name_put("service", names->service, service, service_size);
}

/* All that names a host and a port, and nothing else. */
static void address_bare(const hilo_address *address, hilo_address *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->length = address->length;
	ret->any.sa_family = address->any.sa_family;
	(void)hilo_address_set_port(ret, hilo_address_port(address));
	if (address->any.sa_family == AF_INET) {
		ret->ipv4.sin_addr = address->ipv4.sin_addr;
	} else {
		ret->ipv6.sin6_addr = address->ipv6.sin6_addr;
		ret->ipv6.sin6_scope_id = address->ipv6.sin6_scope_id;
	}
}

int hilo_resolve_name(const hilo_address *address, unsigned flags, char *host, size_t host_size,
		      char *service, size_t service_size, hilo_time deadline)
{
	hilo_resolve_query query = {.size = sizeof(query), .flags = flags};
	int family = hilo_address_family(address), rc;
	char text[HILO_ADDRESS_SIZE];
	struct resolve_names numbers;
	struct resolve_key key;
	struct lookup *lookup;
	hilo_address bare;

	if ((family != AF_INET && family != AF_INET6) || flags & ~NAME_FLAGS)
		return hilo_fail(-EINVAL, "hilo_resolve_name: %s, flags %#x",
				 family == AF_UNSPEC ? "no address" : "an address", flags);
	if (contend_is_interrupted(thread_self()))
		return hilo__error_own(-ECANCELED);
	address_bare(address, &bare);
	if (flags & HILO_RESOLVE_NAME_NUMERIC) {
		(void)hilo_address_host(&bare, numbers.host, sizeof(numbers.host));
		(void)snprintf(numbers.service, sizeof(numbers.service), "%u", hilo_address_port(&bare));
		return names_put(&numbers, host, host_size, service, service_size);
	}
	(void)hilo_address_format(&bare, text, sizeof(text));
	key_begin(&key, KEY_ADDRESS, 0, 0, flags);
	(void)key_add(&key, &bare, sizeof(bare));
	query.host = key_add_text(&key, text);
	query.address = &bare;
	key_end(&key);
	rc = hilo__resolve_ask("hilo_resolve_name", &key, &query, deadline, &lookup);
	if (rc < 0)
		return rc;
	if (lookup->code < 0)
		rc = answer_failed("hilo_resolve_name", lookup, text);
	else
		rc = names_put(lookup->answer, host, host_size, service, service_size);
	hilo__resolve_unref(lookup);
	return rc;
}
