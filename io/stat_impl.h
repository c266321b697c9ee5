/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_STAT_IMPL_H
#define HILO_IO_STAT_IMPL_H

/* stat_impl.h - what is known of a file, asked for in the way of operations. */
#include <hilo/io/file.h>

/* [any] What the kernel has said in its own words. */
struct statx;
void hilo__stat_from(const struct statx *from, struct stat *ret);

/*
 * [any, suspends] Of @path, from @folder on, or with AT_EMPTY_PATH of @folder itself, which is @file's then (else
 * NULL). 0; a negative errno without a message.
 */
int hilo__stat(int folder, const char *path, int flags, hilo_file *file, struct stat *ret,
	       hilo_time deadline);

#endif /* HILO_IO_STAT_IMPL_H */
