/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_SIZED_IMPL_H
#define HILO_RUNTIME_SIZED_IMPL_H

/*
 * sized_impl.h - structures that begin with their size, so that a program and a library of different
 * minor versions understand each other.
 *
 *	options   a program that knows fewer fields leaves the others at their defaults, which are zero;
 *	          one that knows more may do so as long as it leaves those at zero that we do not know
 *	figures   as many as the program has room for; those that we do not know are zero
 *
 * So a field is added at the end, zero means what was there before it, and none is ever moved, removed
 * or put where padding was: in options of an older program that may hold anything. sized.c sees to it
 * that there is no padding at the end of options.
 *
 * Rejected: -EINVAL for whatever is not exactly our size. A program would have to be compiled anew for
 * each minor version that it meets.
 */
#include <stddef.h>

#include "scheduler/base/compiler.h"

/* Bytes up to and with @member. */
#define SIZED_END(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

/*
 * [any] Read the options @from, a @type, into *@to; @last is the last member that the first version had.
 * 0, -EINVAL (smaller than that), -E2BIG (something is set that we do not know): with a message.
 */
#define SIZED_IN(type, to, from, last)                                                                       \
	hilo__sized_in(1 ? (to) : (type *)0, sizeof(type), SIZED_END(type, last),                            \
		       1 ? (from) : (const type *)0, #type)
HILO__SHARED int hilo__sized_in(void *to, size_t known, size_t least, const void *from, const char *name);

/* [any] Fill in the figures *@to, a @type, from *@from, but for the size. 0, or -EINVAL: too small. */
#define SIZED_OUT(type, to, from, last)                                                                      \
	hilo__sized_out(1 ? (to) : (type *)0, 1 ? (from) : (const type *)0, sizeof(type),                    \
			SIZED_END(type, last))
int hilo__sized_out(void *to, const void *from, size_t known, size_t least);

#endif /* HILO_RUNTIME_SIZED_IMPL_H */
