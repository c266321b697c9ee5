/* SPDX-License-Identifier: MIT */
/* connect.c - connections as users open them: options, names, the order of addresses, and what is said at the end. */
#include <hilo/io/connect.h>

#include <hilo/io/resolve.h>
#include <hilo/runtime/error.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "io/connect_impl.h"
#include "io/stream_impl.h"
#include "io/tls_impl.h"
#include "runtime/contend_impl.h"
#include "runtime/error_impl.h"
#include "runtime/io_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

#define DEFAULT_DELAY (250 * HILO_MILLISECOND)
#define CONNECT_FLAGS (HILO_CONNECT_NAGLE | HILO_CONNECT_KEEP_ALIVE)

_Static_assert(sizeof(hilo_connect_opts) == SIZED_END(hilo_connect_opts, tls_opts),
	       "it ends with its last member");

static int opts_read(const char *call, const hilo_connect_opts *given, hilo_connect_opts *opts)
{
	int rc;

	opts->size = sizeof(*opts);
	rc = given ? SIZED_IN(hilo_connect_opts, opts, given, stream) : 0;
	if (rc < 0)
		return rc;
	if (opts->flags & ~CONNECT_FLAGS)
		return hilo_fail(-EINVAL, "hilo_connect_opts.flags is %#x: unknown flag", opts->flags);
	if (opts->local_port > 65535)
		return hilo_fail(-EINVAL, "%s: local port %u", call, opts->local_port);
	if (opts->tls && opts->tls->is_server)
		return hilo_fail(-EINVAL, "%s: tls is a context of servers", call);
	opts->delay = opts->delay ? opts->delay : DEFAULT_DELAY;
	opts->interleave = opts->interleave ? opts->interleave : 1;
	return 0;
}

/* A race without addresses yet. NULL, *@rc: why not. */
static struct race *race_new(const char *call, const hilo_connect_opts *opts, const void *site, int *rc)
{
	struct hilo_runtime *runtime = hilo__io_runtime();
	struct thread *self = thread_self();
	struct race *race;

	/* Before anything has begun that would have to be waited for. */
	if (self->loop ? !self->task : self->closing != NULL) {
		*rc = hilo_fail(-EDEADLK, "%s: a callback cannot wait", call);
		return NULL;
	}
	if (!runtime && opts->stream)
		runtime = opts->stream->runtime;
	if (!runtime) {
		*rc = hilo_fail(-EDEADLK, "%s: a plain thread has to name a runtime", call);
		return NULL;
	}
	race = self->loop || hilo__thread_record(self) ? hilo__calloc(1, sizeof(*race)) : NULL;
	if (!race) {
		*rc = hilo__error_own(-ENOMEM);
		return NULL;
	}
	race->call = call;
	race->runtime = runtime;
	race->opts = opts;
	race->site = site;
	(void)hilo_semaphore_init(&race->ended, 0, 0);
	for (int i = 0; i < RACE_MAX; i++)
		race->attempt[i].fd = -1;
	return race;
}

static void race_add(struct race *race, const hilo_address *address, unsigned port)
{
	struct attempt *attempt;

	if (race->n == RACE_MAX)
		return;
	attempt = &race->attempt[race->n++];
	attempt->address = *address;
	(void)hilo_address_set_port(&attempt->address, port);
}

/* The next of @n addresses, from *@i on, that is, or is not, of @family; NULL: there is none. */
static const hilo_address *pick(const hilo_address *addresses, int n, int *i, int family, bool is)
{
	while (*i < n && (hilo_address_family(&addresses[*i]) == family) != is)
		++*i;
	return *i < n ? &addresses[(*i)++] : NULL;
}

/* In the order in which they are to be tried: the families take turns. */
static void race_fill(struct race *race, const hilo_address *addresses, int n, unsigned port)
{
	int family = hilo_address_family(&addresses[0]), first = 0, other = 0;
	const hilo_address *address;
	unsigned before = race->opts->interleave;

	if (race->opts->delay < 0) {
		for (int i = 0; i < n; i++)
			race_add(race, &addresses[i], port);
		return;
	}
	do {
		for (; before > 0 && (address = pick(addresses, n, &first, family, true)); before--)
			race_add(race, address, port);
		before = 1;
		address = pick(addresses, n, &other, family, false);
		if (address)
			race_add(race, address, port);
	} while (first < n || other < n);
}

/* Where it is to come from, if that was asked for by name. */
static int race_local(struct race *race, hilo_time deadline)
{
	hilo_resolve_opts opts = {
		.size = sizeof(opts), .family = race->opts->family, .flags = HILO_RESOLVE_PASSIVE};
	int n;

	if (!race->opts->local_host)
		return 0;
	n = hilo_resolve(race->opts->local_host, NULL, &opts, race->local, RACE_LOCALS, deadline);
	if (n < 0)
		return n;
	race->locals = n < RACE_LOCALS ? n : RACE_LOCALS;
	for (int i = 0; i < race->locals; i++)
		(void)hilo_address_set_port(&race->local[i], race->opts->local_port);
	return 0;
}

/* Say of each attempt what has become of it. Returns @rc. */
static HILO__COLD int race_failed(const struct race *race, const char *what, hilo_time since, int rc)
{
	char text[2 * HILO_ERROR_MESSAGE_SIZE] = "", name[HILO_ADDRESS_SIZE];
	size_t length = 0;

	for (int i = 0; i < race->next && length < sizeof(text); i++) {
		const struct attempt *attempt = &race->attempt[i];
		const char *said = attempt->rc == -ECANCELED ? "no answer" : hilo_strerror(attempt->rc);

		(void)hilo_address_format(&attempt->address, name, sizeof(name));
		if (race->next == 1 && strcmp(name, what) == 0)
			length += (size_t)snprintf(text + length, sizeof(text) - length, ": %s", said);
		else
			length += (size_t)snprintf(text + length, sizeof(text) - length, "%s %s: %s",
						   i ? ";" : ":", name, said);
	}
	if (rc == -ETIMEDOUT)
		return hilo_fail(rc, "%s: %s: timed out after %.3f s%s%s", race->call, what,
				 (double)(hilo__clock_now() - since) / (double)HILO_SECOND,
				 *text ? ", tried" : "", text);
	return rc == -ECANCELED ? hilo__error_own(rc) : hilo_fail(rc, "%s: %s%s", race->call, what, text);
}

int hilo__connection_new(int fd, struct hilo_runtime *runtime, const void *site, const hilo_stream_opts *opts,
			 hilo_stream **ret)
{
	hilo_stream_limits limits = {
		.size = sizeof(limits), .line = opts->line, .high = opts->high, .low = opts->low};
	hilo_stream *stream;
	int rc = hilo__stream_from_socket(fd, runtime, site, &stream);

	if (rc < 0) {
		(void)hilo__sys_close(fd);
		return hilo__error_own(rc);
	}
	if (opts->line || opts->high || opts->low)
		rc = hilo_stream_set_limits(stream, &limits);
	if (rc == 0)
		*ret = stream;
	else
		hilo_stream_free(stream); /* and the descriptor */
	return rc;
}

/* The winner as a stream. */
static int race_stream(struct race *race, hilo_stream **ret)
{
	hilo_stream_opts opts = {.size = sizeof(opts)};
	int rc = 0;

	if (race->opts->stream)
		rc = SIZED_IN(hilo_stream_opts, &opts, race->opts->stream, low);
	if (rc == 0)
		return hilo__connection_new(race->winner->fd, race->runtime, race->site, &opts, ret);
	(void)hilo__sys_close(race->winner->fd);
	return rc;
}

/* The handshake of @stream, which is consumed if that fails; @host: who is expected, unless the options say so. */
static int connection_encrypt(const char *call, hilo_stream *stream, const hilo_connect_opts *opts,
			      const char *host, hilo_time deadline)
{
	hilo_tls_opts tls = {.size = sizeof(tls)};
	int rc = opts->tls_opts ? SIZED_IN(hilo_tls_opts, &tls, opts->tls_opts, shutdown) : 0;

	if (rc == 0) {
		tls.server_name = tls.server_name ? tls.server_name : host;
		rc = opts->tls->ops->start(stream, opts->tls, &tls, call, deadline);
	}
	if (rc < 0)
		hilo_stream_free(stream);
	return rc;
}

/* Run @race, which has its addresses and is consumed; @what is connected to, for TLS @host. */
static int race_connect(struct race *race, const char *what, const char *host, hilo_time since,
			hilo_stream **ret, hilo_time deadline)
{
	const hilo_connect_opts *opts = race->opts;
	const char *call = race->call;
	hilo_stream *stream;
	int rc = hilo__race_run(race, deadline);

	rc = rc < 0 ? race_failed(race, what, since, rc) : race_stream(race, &stream);
	hilo__free(race);
	if (rc == 0 && opts->tls)
		rc = connection_encrypt(call, stream, opts, host, deadline);
	if (rc == 0)
		*ret = stream;
	return rc;
}

int hilo_open_connection(const char *host, unsigned port, const hilo_connect_opts *given, hilo_stream **ret,
			 hilo_time deadline)
{
	static const char call[] = "hilo_open_connection";
	hilo_connect_opts opts = {.size = sizeof(opts)};
	hilo_resolve_opts names = {.size = sizeof(names)};
	hilo_time since = hilo__clock_now();
	hilo_address found[HILO_RESOLVE_MAX / 2];
	char what[300];
	struct race *race;
	int n, rc;

	if (!ret)
		return hilo_fail(-EINVAL, "%s: ret is NULL", call);
	if (port > 65535)
		return hilo_fail(-EINVAL, "%s: port %u", call, port);
	rc = opts_read(call, given, &opts);
	race = rc < 0 ? NULL : race_new(call, &opts, __builtin_return_address(0), &rc);
	if (!race)
		return rc;
	names.family = opts.family;
	rc = race_local(race, deadline);
	n = rc < 0 ? rc : hilo_resolve(host, NULL, &names, found, array_size(found), deadline);
	if (n < 0) {
		hilo__free(race);
		return n;
	}
	race_fill(race, found, n < (int)array_size(found) ? n : (int)array_size(found), port);
	(void)snprintf(what, sizeof(what), host && strchr(host, ':') ? "[%s]:%u" : "%s:%u", host ? host : "",
		       port);
	return race_connect(race, what, host, since, ret, deadline);
}

int hilo_open_connection_to(const hilo_address *address, const hilo_connect_opts *given, hilo_stream **ret,
			    hilo_time deadline)
{
	static const char call[] = "hilo_open_connection_to";
	hilo_connect_opts opts = {.size = sizeof(opts)};
	char what[HILO_ADDRESS_SIZE], host[HILO_ADDRESS_SIZE] = "";
	struct race *race;
	int rc;

	if (!ret || !hilo_address_family(address))
		return hilo_fail(-EINVAL, "%s: %s", call, ret ? "no address" : "ret is NULL");
	rc = opts_read(call, given, &opts);
	race = rc < 0 ? NULL : race_new(call, &opts, __builtin_return_address(0), &rc);
	if (!race)
		return rc;
	rc = contend_is_interrupted(thread_self()) ? hilo__error_own(-ECANCELED) : race_local(race, deadline);
	if (rc < 0) {
		hilo__free(race);
		return rc;
	}
	race_add(race, address, hilo_address_port(address));
	(void)hilo_address_format(address, what, sizeof(what));
	if (hilo_address_family(address) != AF_UNIX)
		(void)hilo_address_host(address, host, sizeof(host));
	return race_connect(race, what, host, hilo__clock_now(), ret, deadline);
}

int hilo_open_unix_connection(const char *path, const hilo_connect_opts *opts, hilo_stream **ret,
			      hilo_time deadline)
{
	hilo_address address;
	int rc = hilo_address_unix(path, &address);

	return rc < 0 ? rc : hilo_open_connection_to(&address, opts, ret, deadline);
}
