/* SPDX-License-Identifier: MIT */
/*
 * thumbnail.c - see thumbnail.h: a place, a task of low priority, and steps with a checkpoint between them.
 */
#include "thumbnail.h"
#include "jpeg_impl.h"

#include <errno.h>
#include <stdlib.h>

#define WAITING_PER_PLACE 4

void thumbnails_init(struct thumbnails *thumbnails, unsigned places)
{
	(void)hilo_semaphore_init(&thumbnails->places, places, 0);
	thumbnails->waiting_max = places * WAITING_PER_PLACE;
}

struct job {
	const void *data;
	size_t size;
	unsigned width;
	void *made;
	size_t made_size;
	struct picture picture;
};

static int job_steps(struct job *job)
{
	int rc = picture_open(&job->picture, job->data, job->size);

	if (rc == 0)
		rc = picture_begin(&job->picture, job->width);
	if (rc == 0)
		rc = 1;
	while (rc > 0) {
		rc = hilo_checkpoint(); /* whoever is ready goes first */
		if (rc >= 0)
			rc = picture_step(&job->picture);
	}
	return rc;
}

/* [task of low priority] */
static int job_task(void *arg)
{
	struct job *job = arg;
	int rc = job_steps(job);

	if (rc == 0) {
		job->made = job->picture.data;
		job->made_size = job->picture.size;
		job->picture.data = NULL;
	}
	picture_close(&job->picture);
	return rc;
}

/* [suspends] In a task of its own, which has ended when this returns. */
static int job_run(struct job *job, hilo_time deadline)
{
	hilo_task_opts opts = {
		.size = sizeof(opts), .name = "thumbnail", .flags = HILO_TASK_LOW, .stack = HILO_STACK_256K};
	hilo_task *task;
	int rc = hilo_spawn_with(job_task, job, &opts, &task);

	if (rc < 0)
		return rc;
	rc = hilo_await(task, deadline);
	if (!hilo_task_is_done(task)) {
		(void)hilo_task_cancel(task);
		(void)hilo_shield_enter();
		(void)hilo_await(task, HILO_FOREVER);
		(void)hilo_shield_leave();
	}
	hilo_task_unref(task);
	return rc;
}

int thumbnails_enter(struct thumbnails *thumbnails, hilo_time deadline)
{
	int rc = hilo_semaphore_try_acquire(&thumbnails->places, 1);

	if (rc != -EAGAIN)
		return rc;
	/* Figures, which order nothing; the limit is for load, and may be off by as many as come at once. */
	if (atomic_load_explicit(&thumbnails->waiting, memory_order_relaxed) >= thumbnails->waiting_max) {
		atomic_fetch_add_explicit(&thumbnails->refused, 1, memory_order_relaxed);
		return hilo_fail(-EAGAIN, "too many thumbnails are being made");
	}
	atomic_fetch_add_explicit(&thumbnails->waiting, 1, memory_order_relaxed);
	rc = hilo_semaphore_acquire(&thumbnails->places, 1, deadline);
	atomic_fetch_sub_explicit(&thumbnails->waiting, 1, memory_order_relaxed);
	return rc;
}

void thumbnails_leave(struct thumbnails *thumbnails)
{
	(void)hilo_semaphore_release(&thumbnails->places, 1);
}

int thumbnail_make(struct thumbnails *thumbnails, const void *data, size_t size, unsigned width, void **ret,
		   size_t *ret_size, hilo_time deadline)
{
	struct job *job = calloc(1, sizeof(*job));
	hilo_time start;
	int rc;

	if (!job)
		return -ENOMEM;
	job->data = data;
	job->size = size;
	job->width = width;
	start = hilo_now();
	atomic_fetch_add_explicit(&thumbnails->running, 1, memory_order_relaxed); /* figures, from here on */
	rc = job_run(job, deadline);
	atomic_fetch_sub_explicit(&thumbnails->running, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(rc < 0 ? &thumbnails->failed : &thumbnails->done, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&thumbnails->ns, (uint64_t)(hilo_now() - start), memory_order_relaxed);
	*ret = job->made;
	*ret_size = job->made_size;
	if (rc < 0)
		free(job->made); /* done just when nobody waited any more */
	free(job);
	return rc;
}

int thumbnail_look(const void *data, size_t size, unsigned *width, unsigned *height)
{
	struct picture *picture = malloc(sizeof(*picture));
	int rc = picture ? picture_open(picture, data, size) : -ENOMEM;

	if (rc == 0) {
		*width = picture->in.image_width;
		*height = picture->in.image_height;
		if ((uint64_t)*width * *height > PHOTO_PIXELS_MAX)
			rc = hilo_fail(-EFBIG, "%u x %u pixels are more than %d", *width, *height,
				       PHOTO_PIXELS_MAX);
	}
	if (picture)
		picture_close(picture);
	free(picture);
	return rc;
}
