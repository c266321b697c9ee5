/* SPDX-License-Identifier: MIT */
/* fork_measured.c - forks and joins of regions that are measured: scheduler/measure.h. */
#include <errno.h>
#include <string.h>

#include "runtime/fork_impl.h"
#include "scheduler/measure.h"
#include "scheduler/scheduler.h"

/* [owner, a strand is stopped; suspends] Run @fork, whose path is to go on from @path, with room from @head on. */
static void measured_run(struct forks *forks, struct hilo_fork *fork, struct hilo_fork *head,
			 const struct path *path, int is_code)
{
	struct measure *measure = forks->measure;

	measure->path = *path;
	measure->path.burdened += measure->burden;
	if (HILO__UNLIKELY(hilo__fork_is_low(forks_face(forks)))) {
		hilo_fork_elsewhere(forks_face(forks), fork, is_code);
		return;
	}
	measure_go(measure);
	(void)fork->run(forks_face(forks), head, fork);
	measure_stop(measure);
}

/* [owner; suspends] A fork beyond the last record runs at once; its record keeps where its path ends. */
static void measured_late(struct forks *forks, struct late_fork *late, int is_code)
{
	struct measure *measure = forks->measure;
	struct path path = measure->path;

	if (hilo__fork_is_skipping(forks)) {
		late->fork.run = NULL;
		return;
	}
	measured_run(forks, &late->fork, late->place + 1, &path, is_code);
	fork_set_path(&late->fork, &measure->path);
	measure->path = path;
}

void hilo__fork_measured_made(struct forks *forks, struct hilo_fork *fork, int is_code)
{
	struct measure *measure = forks->measure;
	struct late_fork *late = forks->late;

	measure_stop(measure);
	measure->forks++;
	if (HILO__UNLIKELY(late && fork == &late->fork))
		measured_late(forks, late, is_code);
	else
		fork_set_path(fork, &measure->path);
	measure_go(measure);
}

/* [owner] A fork whose place is beyond the last record is joined. */
static struct hilo_fork *measured_late_join(struct forks *forks, struct hilo_fork *fork, int is_code)
{
	struct measure *measure = forks->measure;

	fork = hilo__fork_late_join(forks, fork, is_code);
	if (fork->run)
		measure->path = path_longer(measure->path, fork_path(fork));
	return fork;
}

struct hilo_fork *hilo__fork_measured_join(struct forks *forks, struct hilo_fork *fork, int is_code)
{
	struct measure *measure = forks->measure;
	struct path path, other;

	measure_stop(measure);
	other = measure->path;
	if (HILO__UNLIKELY(fork >= forks_end(forks))) {
		fork = measured_late_join(forks, fork, is_code);
	} else if (HILO__UNLIKELY(hilo__fork_is_skipping(forks))) {
		hilo__fork_left_out(forks, fork, is_code);
	} else {
		path = fork_path(fork);
		measured_run(forks, fork, fork + 1, &path, is_code);
		fork_set_free(fork);
		measure->path = path_longer(measure->path, other);
	}
	measure_go(measure);
	return fork;
}
