/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_RESOLVE_H
#define HILO_IO_RESOLVE_H

#include <hilo/io/address.h>
#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * resolve.h - names to addresses, and addresses to names.
 *
 * What has to be asked for is asked for by threads of their own (hilo_resolver_executor; for plain threads outside
 * of a runtime, one pool of the process), so that a server of names that does not answer holds up nothing but
 * names. An answer is kept for 30 s, a failure for 5 s, for the whole process. Those who want the same at the same
 * time share one look-up. Who is cancelled, or whose deadline passes, leaves; the look-up goes on for the others,
 * and for who comes next. One that still waits for a thread when nobody wants it any more is not made.
 *
 * Addresses that are written as such ("127.0.0.1", "::1") are never looked up, and never wait.
 */

/* Zero means the default in every field but `size`. */
typedef struct hilo_resolve_opts {
	size_t size;	/* sizeof(hilo_resolve_opts) */
	int family;	/* AF_INET or AF_INET6; default both, in the order in which they are to be tried */
	int type;	/* SOCK_STREAM or SOCK_DGRAM, whose services are meant; default SOCK_STREAM */
	unsigned flags; /* HILO_RESOLVE_* below */
	unsigned none;	/* 0 */
} hilo_resolve_opts;

#define HILO_RESOLVE_PASSIVE 1u /* to listen: without a host it is any address, else the loopback */
#define HILO_RESOLVE_NUMERIC 2u /* names are failures */
#define HILO_RESOLVE_FRESH 4u	/* what is known does not count; what comes is known to all */

/* The most addresses that a name has; more are left out. */
#define HILO_RESOLVE_MAX 64

/*
 * [any, suspends] The addresses of @host, with the port of @service: a number, or a name as "http"; NULL: 0. @host
 * is a name or an address; NULL and "": see HILO_RESOLVE_PASSIVE. The first @max of them are in @ret, in the order
 * in which they are to be tried. How many there are, 1 or more.
 *
 * HILO_ENONAME: no such name, service, or address of that family; -EAGAIN: the servers of names do not know now;
 * -EIO: they have failed; -ETIMEDOUT: the message says how long the look-up was queued and made; -ECANCELED;
 * -EDEADLK: it would have to wait, in a callback; HILO_EOVERFLOW: too many look-ups wait; HILO_ECLOSED: the runtime
 * ends; -EINVAL, -E2BIG, -ENODEV (no such zone), -ENOMEM, and what the system says else. Failures have a message.
 */
HILO_API HILO_MUST_CHECK int hilo_resolve(const char *host, const char *service,
					  const hilo_resolve_opts *opts, hilo_address *ret, size_t max,
					  hilo_time deadline);

#define HILO_RESOLVE_NAME_REQUIRED                                                                           \
	1u			     /* HILO_ENONAME for what has no name; else it is written as an address */
#define HILO_RESOLVE_NAME_NUMERIC 2u /* host and service are written as numbers, at once */
#define HILO_RESOLVE_NAME_DATAGRAM 4u /* of UDP is the service */

/*
 * [any, suspends] The name of the host, and of the service, at the IP address @address; either may be NULL, with size
 * 0: not wanted. 0; -EMSGSIZE: they do not fit, with a message that says which; else as hilo_resolve.
 */
HILO_API HILO_MUST_CHECK int hilo_resolve_name(const hilo_address *address, unsigned flags, char *host,
					       size_t host_size, char *service, size_t service_size,
					       hilo_time deadline);

/* What is looked up. What does not apply is zero. */
typedef struct hilo_resolve_query {
	size_t size;	     /* sizeof(hilo_resolve_query) */
	const char *host;    /* NULL: none was given */
	const char *service; /* NULL: none was given */
	int family;
	int type;
	unsigned flags;		     /* HILO_RESOLVE_PASSIVE, or of a name those of hilo_resolve_name */
	const hilo_address *address; /* whose name is wanted; NULL: an address is */
} hilo_resolve_query;

/*
 * Looks up @query, borrowed, in a thread that may block: how many addresses, the first @max of which are in @ret;
 * or a code, for which it may have attached a message.
 */
typedef int (*hilo_resolve_fn)(const hilo_resolve_query *query, hilo_address *ret, size_t max, void *arg);

/* The same for names: writes both, which fit for HILO_ADDRESS_SIZE and 64 bytes; 0 or a code. */
typedef int (*hilo_resolve_name_fn)(const hilo_resolve_query *query, char *host, char *service, void *arg);

/* Zero means the default in every field but `size`. */
typedef struct hilo_resolver_opts {
	size_t size;		   /* sizeof(hilo_resolver_opts) */
	hilo_time answers;	   /* how long an answer is kept; default 30 s; less than 0: not at all */
	hilo_time failures;	   /* how long a failure is; default 5 s; less than 0: not at all */
	size_t entries;		   /* the most that are kept, those used last; default 1024 */
	hilo_resolve_fn lookup;	   /* default: getaddrinfo */
	hilo_resolve_name_fn name; /* default: getnameinfo */
	void *arg;		   /* of both; kept while they may be called, also after it was replaced */
} hilo_resolver_opts;

/*
 * [any] Set how names are resolved in this process, and forget what is known. @opts may be NULL. 0, -EINVAL,
 * -E2BIG.
 */
HILO_API int hilo_resolver_configure(const hilo_resolver_opts *opts);

/*
 * [any] Forget what is known of @host, or of all (NULL), names of addresses included. Look-ups that are under way are
 * not shared any more, and their answers not kept. How many answers and failures were known.
 */
HILO_API size_t hilo_resolver_flush(const char *host);

/* Figures of this process. */
typedef struct hilo_resolver_stats {
	size_t size;	   /* sizeof(hilo_resolver_stats), set by the caller */
	uint64_t known;	   /* calls that were answered from what is known */
	uint64_t shared;   /* calls that have joined a look-up */
	uint64_t lookups;  /* look-ups that were begun by a thread */
	uint64_t failures; /* ... and have failed */
	uint64_t dropped;  /* look-ups that nobody wanted any more when a thread came */
	uint64_t left;	   /* calls that have left before the answer came */
	size_t entries;	   /* answers and failures that are known now */
	size_t under_way;  /* look-ups now */
} hilo_resolver_stats;

/* [any] Read them. 0, -EINVAL. */
HILO_API HILO_MUST_CHECK int hilo_resolver_get_stats(hilo_resolver_stats *ret);

HILO_END_DECLS

#endif /* HILO_IO_RESOLVE_H */
