/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_CONFIG_IMPL_H
#define HILO_RUNTIME_CONFIG_IMPL_H

/* config_impl.h - the configuration of a runtime. */
#include <stdbool.h>

#include "runtime/runtime_impl.h"

/* [creator] What options and environment say, into @runtime, and whether to print it. -EINVAL, -E2BIG. */
int hilo__config_read(hilo_runtime *runtime, const hilo_opts *given, bool *ret_print);

/* [creator] Write the configuration to standard error. */
void hilo__config_log(const hilo_runtime *runtime);

#endif /* HILO_RUNTIME_CONFIG_IMPL_H */
