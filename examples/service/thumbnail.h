/* SPDX-License-Identifier: MIT */
#ifndef SERVICE_THUMBNAIL_H
#define SERVICE_THUMBNAIL_H

#include <hilo/hilo.h>

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*
 * thumbnail.h - smaller copies of JPEGs: the work that computes.
 *
 * A job runs on the workers, as a task of low priority that lets others go on after each piece of 50 us or so:
 * whoever has an answer to give goes first, and jobs have what is left of the machine. So many run at a time as
 * there are places; some wait for one, the others are told to come later.
 */

#define THUMBNAIL_WIDTH_MAX 2048
#define PHOTO_PIXELS_MAX 50000000

struct thumbnails {
	hilo_semaphore places;
	unsigned waiting_max;
	_Atomic unsigned waiting;
	_Atomic unsigned running;
	_Atomic uint64_t done, failed, refused, ns;
};

/* [any] So many at a time, and four times as many wait. */
void thumbnails_init(struct thumbnails *thumbnails, unsigned places);

/*
 * [task, suspends] Take a place, to be given back with thumbnails_leave. 0; -EAGAIN: too many wait; -ETIMEDOUT,
 * -ECANCELED.
 */
int thumbnails_enter(struct thumbnails *thumbnails, hilo_time deadline);
void thumbnails_leave(struct thumbnails *thumbnails);

/*
 * [task that has a place, suspends] Make a JPEG at most @width wide of the one in @data, which is borrowed: 0, and the
 * caller's *@ret, to be ended with free(). -EBADMSG: this is no JPEG, -EFBIG: it takes too much memory, both with a
 * message; -ENOMEM, -ETIMEDOUT, -ECANCELED.
 */
int thumbnail_make(struct thumbnails *thumbnails, const void *data, size_t size, unsigned width, void **ret,
		   size_t *ret_size, hilo_time deadline);

/*
 * [any] Look at the head of a JPEG. 0, its size in pixels; -EBADMSG, with a message; -EFBIG: too many pixels;
 * -ENOMEM.
 */
int thumbnail_look(const void *data, size_t size, unsigned *width, unsigned *height);

#endif /* SERVICE_THUMBNAIL_H */
