# SPDX-License-Identifier: MIT
"""Sleeping, and deadlines of single calls."""

from harness import *


async def within(ms, future):
    """A wait with a deadline, whose end is not that of what it waits for."""
    return await asyncio.wait_for(asyncio.shield(future), ms / 1000)


@scenario()
async def sleeps_are_exact():
    await sleep_for(1)
    say("1")
    await sleep_for(10)
    say("10")
    await sleep_for(100)
    say("100")
    await sleep_for(1000)
    say("1000")
    await sleep_for(24 * 3600 * 1000)
    say("a day")


@scenario()
async def sleepers_wake_by_time():
    for task in [spawn(sleeper(str(i), ms)) for i, ms in enumerate((13, 2, 7, 31, 5, 17, 3, 29, 11, 19, 23))]:
        await task


@scenario()
async def sleep_of_the_past():
    say_end("sleep", await ended(sleep_for(-5)))
    say_end("sleep", await ended(sleep_for(0)))


@scenario()
async def no_time_for_what_has_ended():
    task = spawn(sleeper("a", 1, 7))
    await sleep_for(5)
    say_end("a", await ended(asyncio.wait_for(task, 0)))


@scenario()
async def no_time_for_a_set_future():
    future = new_future()
    say_end("future", await ended(within(0, future)))
    set_value(future, 3)
    say_end("future", await ended(within(0, future)))


@scenario()
async def limit_leaves_the_task_alone():
    task = spawn(sleeper("a", 10, 7))
    say_end("await", await ended(within(5, task)))
    say(f"done: {task.done():d}")
    say_end("await", await ended(task))


async def has_a_limit(future):
    outcome = await ended(within(10, future))
    say_end("future", outcome)
    return leave_with(outcome)


@scenario()
async def cancelled_before_the_limit():
    task = spawn(has_a_limit(new_future()))
    await sleep_for(5)
    ask_to_cancel("task", task)
    say_end("task", await ended(task))


@scenario()
async def set_before_the_limit():
    future = new_future()
    task = spawn(has_a_limit(future))
    await sleep_for(5)
    set_value(future, 4)
    say_end("task", await ended(task))


@scenario()
async def a_failure_called_timeout():
    task = spawn(sleeper("a", 1, -errno.ETIMEDOUT))
    say_end("await", await ended(within(5, task)))
    say(f"done: {task.done():d}")
