# SPDX-License-Identifier: MIT
"""Groups: who waits for whom, who is cancelled, and what the block ends with."""

from harness import *


def requests():
    return asyncio.current_task().cancelling()


def say_group(outcome):
    """How a group has ended, and that it has left nothing behind."""
    first, *others = failures_in(outcome)
    say_end("group", first)
    for failure in others:
        say_end("other", failure)
    say(f"requests: {requests()}")


async def in_group(block):
    """Runs the block with a group."""
    async with asyncio.TaskGroup() as group:
        return await block(group)


def spawn_into(group, coroutine):
    """Some versions leave a coroutine that is refused to the collector of garbage, which complains."""
    outcome = tried(group.create_task, coroutine)
    if isinstance(outcome, Exception):
        coroutine.close()
    return outcome


async def group_block(*tasks, ms=0, code=0, keeps=False):
    """A group of sleepers. Its block sleeps for a while, or not at all, and ends with a code."""

    async def block(group):
        for task in tasks:
            group.create_task(task)
        if ms:
            interrupted = await ended(sleep_for(ms))
            say_end("block", interrupted)
            if interrupted and not keeps:
                raise interrupted
        return finish(code)

    outcome = await ended(in_group(block))
    say_group(outcome)
    return leave_with(outcome)


async def run_block(*tasks, **block):
    await ended(group_block(*tasks, **block))


@scenario()
async def group_waits_for_all():
    await run_block(sleeper("a", 3), sleeper("b", 1), sleeper("c", 8), ms=5)


@scenario()
async def group_of_none():
    await run_block()
    await run_block(code=-errno.EIO)


@scenario()
async def group_task_fails_while_the_block_waits():
    await run_block(sleeper("a", 2, -errno.EIO), sleeper("b", 50, cleanup=1), ms=20)
    say_end("sleep", await ended(sleep_for(1)))


@scenario()
async def group_task_fails_while_the_block_ends():
    await run_block(sleeper("a", 2, -errno.EIO), sleeper("b", 50, cleanup=1))
    say_end("sleep", await ended(sleep_for(1)))


@scenario()
async def group_block_fails():
    await run_block(sleeper("a", 50, cleanup=1), ms=2, code=-errno.EPIPE)


@scenario()
async def group_block_fails_at_once():
    await run_block(sleeper("a", 50), sleeper("b", 50), code=-errno.EPIPE)


@scenario()
async def group_failures_in_their_order():
    await run_block(sleeper("a", 50, -errno.EPIPE, 3, True), sleeper("b", 2, -errno.EIO),
                    sleeper("c", 50, -errno.EPROTO, 1, True), ms=20)


@scenario()
async def group_block_fails_after_a_task():
    await run_block(sleeper("a", 2, -errno.EIO), ms=20, code=-errno.EPIPE, keeps=True)


@scenario()
async def group_block_takes_no_notice():
    await run_block(sleeper("a", 2, -errno.EIO), ms=20, keeps=True)


@scenario()
async def group_after_a_group():
    await run_block(sleeper("a", 2, -errno.EIO), ms=20)
    await run_block(sleeper("b", 2), ms=20)


@scenario()
async def group_task_cancelled():
    async def block(group):
        task = group.create_task(sleeper("a", 50))
        group.create_task(sleeper("b", 3))
        await sleep_for(1)
        ask_to_cancel("a", task)
        await sleep_for(1)

    say_group(await ended(in_group(block)))


async def ends_as_cancelled():
    raise CancelledError


@scenario()
async def group_task_ends_as_cancelled():
    async def block(group):
        group.create_task(ends_as_cancelled())
        group.create_task(sleeper("b", 3))

    say_group(await ended(in_group(block)))


@scenario()
async def group_block_ends_as_cancelled():
    task = spawn(sleeper("b", 50))
    call_later(2, task.cancel)

    async def block(group):
        group.create_task(sleeper("a", 50, cleanup=1))
        await task

    say_group(await ended(in_group(block)))


async def cancel_outer_at_5(outer):
    await sleep_for(5)
    ask_to_cancel("outer", outer)
    return await ended(outer)


@scenario()
async def group_cancelled_while_the_block_waits():
    outer = spawn(group_block(sleeper("a", 50, cleanup=1), ms=20, code=7))
    say_end("outer", await cancel_outer_at_5(outer))


@scenario()
async def group_cancelled_while_the_block_ends():
    outer = spawn(group_block(sleeper("a", 50, cleanup=3), sleeper("b", 50, cleanup=1)))
    say_end("outer", await cancel_outer_at_5(outer))


@scenario()
async def group_cancelled_twice():
    outer = spawn(group_block(sleeper("a", 50, cleanup=10)))
    await sleep_for(2)
    ask_to_cancel("outer", outer)
    say_end("outer", await cancel_outer_at_5(outer))


@scenario()
async def group_cancelled_and_a_task_fails():
    outer = spawn(group_block(sleeper("a", 50, -errno.EIO, 1, True), ms=20))
    say_end("outer", await cancel_outer_at_5(outer))


@scenario()
async def group_cancelled_after_a_task_has_failed():
    outer = spawn(group_block(sleeper("a", 2, -errno.EIO), sleeper("b", 50, cleanup=10), ms=20))
    say_end("outer", await cancel_outer_at_5(outer))


async def group_with_a_request_set(waits):
    async def block(group):
        group.create_task(sleep_for(50))
        if waits:
            interrupted = await ended(sleep_for(20))
            say_end("block", interrupted)
            leave_with(interrupted)

    ask_to_cancel("myself", asyncio.current_task())
    outcome = await ended(in_group(block))
    say_group(outcome)
    leave_with(outcome)


@scenario()
async def group_waits_with_a_request_set():
    say_end("outer", await ended(spawn(group_with_a_request_set(True))))


@scenario()
async def group_ends_with_a_request_set():
    say_end("outer", await ended(spawn(group_with_a_request_set(False))))


async def cancels_at_2(task):
    await sleep_for(2)
    ask_to_cancel("owner", task)


async def group_cancelled_from_inside():
    async def block(group):
        group.create_task(cancels_at_2(asyncio.current_task()))
        group.create_task(sleeper("a", 50, cleanup=1))

    outcome = await ended(in_group(block))
    say_group(outcome)
    leave_with(outcome)


@scenario()
async def group_task_cancels_the_owner():
    say_end("outer", await ended(spawn(group_cancelled_from_inside())))


class Stop(Exception):
    """asyncio has no call that stops a group; its documentation advises a failure that is caught afterwards."""


async def stops_at_2():
    await sleep_for(2)
    raise Stop


@scenario()
async def group_stopped_early():
    async def block(group):
        group.create_task(stops_at_2())
        group.create_task(sleeper("a", 50, cleanup=1))
        interrupted = await ended(sleep_for(20))
        say_end("block", interrupted)
        leave_with(interrupted)

    try:
        await in_group(block)
    except* Stop:
        pass
    say_group(0)
    say_end("sleep", await ended(sleep_for(1)))


@scenario()
async def group_inner_failure_ends_there():
    async def inner(group):
        group.create_task(sleeper("b", 2, -errno.EIO))
        group.create_task(sleeper("c", 50, cleanup=1))
        await sleep_for(50)

    async def outer(group):
        group.create_task(sleeper("a", 10))
        say_group(await ended(in_group(inner)))
        say_end("sleep", await ended(sleep_for(2)))

    say_group(await ended(in_group(outer)))


@scenario()
async def group_outer_failure_stops_the_inner():
    async def inner(group):
        group.create_task(sleeper("b", 50, cleanup=1))

    async def outer(group):
        group.create_task(sleeper("a", 2, -errno.EIO))
        outcome = await ended(in_group(inner))
        say_group(outcome)
        leave_with(outcome)

    say_group(await ended(in_group(outer)))


@scenario()
async def group_task_with_a_group_fails():
    async def block(group):
        group.create_task(sleeper("a", 50, cleanup=5))
        tasks = sleeper("b", 2, -errno.EIO), sleeper("c", 50, -errno.EPIPE, 1, True)
        group.create_task(group_block(*tasks, ms=20))
        await sleep_for(50)

    say_group(await ended(in_group(block)))


async def spawns_later(group):
    await sleep_for(2)
    group.create_task(sleeper("late", 3))


@scenario()
async def group_task_spawns_another():
    async def block(group):
        group.create_task(spawns_later(group))

    say_group(await ended(in_group(block)))


async def spawns_when_stopped(group):
    interrupted = await ended(sleep_for(50))
    say_end("spawn", spawn_into(group, say_task("never")))
    leave_with(interrupted)


@scenario()
async def group_task_spawns_while_it_stops():
    async def block(group):
        group.create_task(spawns_when_stopped(group))
        group.create_task(sleeper("a", 2, -errno.EIO))
        await sleep_for(50)

    say_group(await ended(in_group(block)))


@scenario()
async def group_block_spawns_while_it_stops():
    async def block(group):
        group.create_task(sleeper("a", 2, -errno.EIO))
        await spawns_when_stopped(group)

    say_group(await ended(in_group(block)))


async def awaits_what_fails(task):
    outcome = await ended(task)
    say_end("await", outcome)
    leave_with(outcome)


@scenario()
async def group_task_awaits_the_one_that_fails():
    async def block(group):
        group.create_task(awaits_what_fails(group.create_task(sleeper("a", 2, -errno.EIO))))
        await sleep_for(50)

    say_group(await ended(in_group(block)))


async def group_within_5(*tasks, **block):
    async def limited():
        async with asyncio.timeout(0.005):
            await group_block(*tasks, **block)

    say_end("limit", await ended(limited()))
    say(f"requests: {requests()}")


@scenario()
async def group_in_a_limit():
    await group_within_5(sleeper("a", 50, cleanup=3))


@scenario()
async def group_fails_in_a_limit():
    await group_within_5(sleeper("a", 2, -errno.EIO), sleeper("b", 50, cleanup=10), ms=20)


async def limit_in_a_group(ms, task):
    """A group whose block sleeps within a limit of its own; one task beside it."""

    async def limited():
        async with asyncio.timeout(ms / 1000):
            await sleep_for(20)

    async def block(group):
        group.create_task(task)
        outcome = await ended(limited())
        say_end("limit", outcome)
        say(f"requests: {requests()}")
        if not isinstance(outcome, TimeoutError):
            leave_with(outcome)

    say_group(await ended(in_group(block)))


@scenario()
async def limit_in_a_group_expires():
    await limit_in_a_group(5, sleeper("a", 10))


@scenario()
async def limit_in_a_group_that_fails():
    await limit_in_a_group(5, sleeper("a", 2, -errno.EIO))
