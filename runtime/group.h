/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_GROUP_H
#define HILO_RUNTIME_GROUP_H

#include <hilo/runtime/types.h>
#include <hilo/runtime/task.h>

HILO_BEGIN_DECLS

/*
 * group.h - tasks that end before the block does that they were spawned in.
 *
 *	HILO_GROUP(group, &rc) {
 *		hilo_group_spawn(group, fetch, &first);
 *		hilo_group_spawn(group, fetch, &second);
 *	}
 *
 * The end of the block waits for all tasks of the group, those included that they have spawned into it
 * meanwhile. As soon as one of them fails, other than by -ECANCELED, the others are cancelled, and so is what
 * the block itself waits for; likewise when the block ends with a failure, and when the task that the block
 * runs in is cancelled. Requests that the group has made to that task are taken back at the end.
 *
 * Then the code is: the block's own, if that is a failure other than -ECANCELED; else that of the task which
 * has failed first, with its message (hilo_error_message, hilo_error_task); else -ECANCELED if a request from
 * outside has interrupted the block, or the wait at its end; else what the block has set. All other failures are
 * kept, too: hilo_error_other tells them one by one.
 */

/* One group. Opaque; lies in the frame of the block. */
typedef struct hilo_group {
	int *hilo_code;
	void *hilo_private[20];
} hilo_group;

/*
 * [task] Begin a group in the calling task. Keeps @group until hilo_group_leave. Does not suspend, and is not
 * stopped by a request that is set. -EINVAL (NULL), -EDEADLK outside of a task.
 */
HILO_API HILO_MUST_CHECK int hilo_group_enter(hilo_group *group);

/*
 * [task that has entered, suspends] End the block, whose code is @code, and wait for all tasks of the group,
 * which no deadline limits. Returns the code that the block has then. Blocks, groups and shields are left in
 * the reverse of the order in which they were entered.
 */
HILO_API int hilo_group_leave(hilo_group *group, int code);

/*
 * [task of the runtime, callback; while the block or a task of the group lasts] Spawn a task into the group; it
 * belongs to the group, there is no handle. @arg is kept until the task has ended. 0; HILO_ECLOSED: the group
 * or the runtime stops; -ENOMEM; with options also -EINVAL, -E2BIG as hilo_spawn_with. A task that could not be
 * spawned for one of the last three reasons, or because the runtime stops, has failed like any other: the
 * group stops, and ends with that code. So the result need not be looked at, except for mistakes of the caller,
 * which change nothing: -EINVAL (NULL), -EDEADLK (not in a task or callback of the group's runtime).
 */
HILO_API int hilo_group_spawn(hilo_group *group, hilo_task_fn entry, void *arg);

/*
 * [as above] The same with options, and a handle of one's own in *@ret, unless @ret is NULL; to be ended as
 * any other, and there when this returns, though the task may have begun before. Suspends for HILO_TASK_EAGER, as
 * hilo_spawn_with. On failure @arg was not taken.
 */
HILO_API int hilo_group_spawn_with(hilo_group *group, hilo_task_fn entry, void *arg,
				   const hilo_task_opts *opts, hilo_task **ret);

/*
 * [as above] Stop the group early, which is no failure: all its tasks are cancelled and no more can be spawned; what
 * the block waits for ends with -ECANCELED, and a block that returns this has the code 0. May be repeated. 0,
 * -EINVAL for NULL.
 */
HILO_API int hilo_group_cancel(hilo_group *group);

/* [as above] How many tasks of the group have not ended. */
HILO_API size_t hilo_group_size(const hilo_group *group);

/*
 * A block with a group. @name is a hilo_group * in it; *@code is 0 when it begins. Leaving it by break, continue,
 * return or goto is leaving it. Where it cannot begin *@code says why, and it is passed over.
 */
#define HILO_GROUP(name, code)                                                                               \
	for (hilo_group hilo_place_of_##name HILO_CLEANUP(hilo_group_block_cleanup),                         \
	     *name = hilo_group_block_begin(&hilo_place_of_##name, code);                                    \
	     name; name = hilo_group_block_end(&hilo_place_of_##name))

static inline hilo_group *hilo_group_block_begin(hilo_group *group, int *code)
{
	*code = hilo_group_enter(group);
	group->hilo_code = *code == 0 ? code : NULL;
	return *code == 0 ? group : NULL;
}

static inline hilo_group *hilo_group_block_end(hilo_group *group)
{
	int *code = group->hilo_code;

	group->hilo_code = NULL;
	if (code)
		*code = hilo_group_leave(group, *code);
	return NULL;
}

static inline void hilo_group_block_cleanup(hilo_group *group)
{
	(void)hilo_group_block_end(group);
}

HILO_END_DECLS

#endif /* HILO_RUNTIME_GROUP_H */
