/* SPDX-License-Identifier: MIT */
/*
 * time.c - the clock as users see it.
 */
#include <hilo/runtime/types.h>

#include "scheduler/base/clock.h"

hilo_time hilo_now(void)
{
	return hilo__clock_now();
}

hilo_time hilo_after(hilo_time span)
{
	hilo_time now = hilo__clock_now();

	if (span > HILO_FOREVER - now) /* now is never negative */
		return HILO_FOREVER;
	return span < -now ? 0 : now + span;
}
