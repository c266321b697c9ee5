/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_BASE_COMPILER_H
#define HILO_SCHEDULER_BASE_COMPILER_H

/* compiler.h - what C17 has no word for. */
#include <stddef.h>

#define HILO__LIKELY(x) __builtin_expect(!!(x), 1)
#define HILO__UNLIKELY(x) __builtin_expect(!!(x), 0)
#define HILO__NOINLINE __attribute__((noinline))
#define HILO__ALWAYS_INLINE inline __attribute__((always_inline))
#define HILO__COLD __attribute__((cold, noinline))
#define HILO__NORETURN __attribute__((noreturn))

/* For libhilo-tls, and nobody else: in HILO_PRIVATE of cmake/hilo.map. */
#define HILO__SHARED __attribute__((visibility("default")))

/* Two adjacent lines: the prefetcher of x86 fetches them in pairs. */
#define HILO__CACHE_LINE 64
#define HILO__ISOLATED __attribute__((aligned(128)))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define array_size(a) (sizeof(a) / sizeof((a)[0]))

#if defined(__SANITIZE_THREAD__)
#define HILO__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HILO__TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HILO__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HILO__ASAN 1
#endif
#endif

#endif /* HILO_SCHEDULER_BASE_COMPILER_H */
