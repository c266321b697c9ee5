/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_SITE_IMPL_H
#define HILO_RUNTIME_SITE_IMPL_H

/* site_impl.h - places in the code, as text. */
#include <stddef.h>

/* Large enough for most; a longer one is cut. */
#define SITE_SIZE 160

/*
 * [any, not in a signal handler] The call that returns to @address: "name+0x12 (file)", or "file+0x1234",
 * as addr2line -e takes it, where no name is known; the bare address without a file; "?" for NULL.
 */
void hilo__site_describe(const void *address, char *buf, size_t size);

#endif /* HILO_RUNTIME_SITE_IMPL_H */
