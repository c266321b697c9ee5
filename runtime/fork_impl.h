/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_FORK_IMPL_H
#define HILO_RUNTIME_FORK_IMPL_H

/* fork_impl.h - what fork.c and fork_measured.c share. */
#include "scheduler/fork.h"

/* [owner] The result of the latest fork beyond the last record, whose place is @fork; `run` is NULL: it has not run. */
struct hilo_fork *hilo__fork_late_join(struct forks *forks, struct hilo_fork *fork, int is_code);

/* [owner] @fork, the latest and private, is not run: its join answers so. */
void hilo__fork_left_out(struct forks *forks, struct hilo_fork *fork, int is_code);

/* [owner, suspends] As hilo_fork_made and hilo_fork_join, in a region that is measured. */
void hilo__fork_measured_made(struct forks *forks, struct hilo_fork *fork, int is_code);
struct hilo_fork *hilo__fork_measured_join(struct forks *forks, struct hilo_fork *fork, int is_code);

#endif /* HILO_RUNTIME_FORK_IMPL_H */
