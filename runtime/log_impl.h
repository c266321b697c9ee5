/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_LOG_IMPL_H
#define HILO_RUNTIME_LOG_IMPL_H

/* log_impl.h - how the library's own public layers log. */
#include <hilo/runtime/log.h>

/* [any] Format one line and give it to what hilo_log_set named. Not with a lock held. Never allocates. */
void hilo__log(enum hilo_log_level level, const char *format, ...) HILO_PRINTF(2, 3);

#endif /* HILO_RUNTIME_LOG_IMPL_H */
