/* SPDX-License-Identifier: MIT */
/* share.c - to offer a core. */
#include "scheduler/share.h"

HILO__COLD bool hilo__share_now(struct share *share)
{
	if (share->how == SHARE_UNKNOWN)
		share->how = hilo__slice_shorten() ? SHARE_SLICES : SHARE_AS_IT_COMES;
	if (share->how == SHARE_SLICES)
		hilo__slice_end();
	share->since = cycles_now();
	return share->how == SHARE_SLICES;
}
