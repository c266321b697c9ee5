# SPDX-License-Identifier: MIT
"""Waiting for some of several tasks, which stay the caller's."""

from asyncio import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION

from harness import *


def spawn_all(*coroutines):
    return [spawn(coroutine) for coroutine in coroutines]


async def wait(until, tasks, timeout=None):
    outcome = await ended(asyncio.wait(tasks, return_when=until, timeout=timeout))
    if isinstance(outcome, BaseException):
        say_end("wait", outcome)
        return
    done, pending = ("".join(name for name, task in zip("abc", tasks) if task in part) for part in outcome)
    say(f"done {done}, pending {pending}")


async def end_all(tasks):
    """At the end: stop what goes on, read what there is. One after the other."""
    for task in tasks:
        task.cancel()
        await ended(task)


@scenario()
async def wait_for_all():
    tasks = spawn_all(sleeper("a", 3), sleeper("b", 1, -errno.EIO), sleeper("c", 2))
    await wait(ALL_COMPLETED, tasks)
    await end_all(tasks)


@scenario()
async def wait_for_first():
    tasks = spawn_all(sleeper("a", 3), sleeper("b", 1), sleeper("c", 2))
    await wait(FIRST_COMPLETED, tasks)
    await end_all(tasks)


@scenario()
async def wait_for_each():
    tasks = spawn_all(sleeper("a", 3), sleeper("b", 1), sleeper("c", 2))
    await wait(FIRST_COMPLETED, tasks)
    for left in [tasks[0], tasks[2]], [tasks[0]]:
        done, pending = await asyncio.wait(left, return_when=FIRST_COMPLETED)
        say(f"waited: {len(done)}")
    await end_all(tasks)


@scenario()
async def wait_for_a_failure():
    tasks = spawn_all(sleeper("a", 1), sleeper("b", 2, -errno.EIO), sleeper("c", 3))
    await wait(FIRST_EXCEPTION, tasks)
    await end_all(tasks)


@scenario()
async def wait_for_a_failure_in_vain():
    tasks = spawn_all(sleeper("a", 1), sleeper("b", 2))
    await wait(FIRST_EXCEPTION, tasks)
    await end_all(tasks)


@scenario()
async def wait_a_cancel_is_no_failure():
    tasks = spawn_all(sleeper("a", 50), sleeper("b", 5))
    call_later(2, tasks[0].cancel)
    await wait(FIRST_EXCEPTION, tasks)
    await end_all(tasks)


@scenario()
async def wait_a_cancel_is_an_end():
    tasks = spawn_all(sleeper("a", 50), sleeper("b", 5))
    call_later(2, tasks[0].cancel)
    await wait(FIRST_COMPLETED, tasks)
    await end_all(tasks)


@scenario()
async def wait_in_time():
    tasks = spawn_all(sleeper("a", 2), sleeper("b", 9))
    await wait(ALL_COMPLETED, tasks, timeout=0.005)
    await wait(ALL_COMPLETED, tasks, timeout=0.005)
    await end_all(tasks)


@scenario()
async def wait_no_time():
    tasks = spawn_all(sleeper("a", 2), sleeper("b", 9))
    await sleep_for(5)
    await wait(ALL_COMPLETED, tasks, timeout=0)
    await end_all(tasks)


@scenario()
async def wait_for_what_has_ended():
    tasks = spawn_all(sleeper("a", 1), sleeper("b", 2))
    await sleep_for(5)
    await wait(FIRST_COMPLETED, tasks)
    await wait(ALL_COMPLETED, tasks)
    await end_all(tasks)


@scenario()
async def wait_for_nothing():
    say_end("wait", await ended(asyncio.wait([])))


async def waits(tasks):
    outcome = await ended(asyncio.wait(tasks))
    say_end("wait", outcome)
    leave_with(outcome)


@scenario()
async def wait_cancelled():
    tasks = spawn_all(sleeper("a", 8), sleeper("b", 9))
    outer = spawn(waits(tasks))
    await sleep_for(5)
    ask_to_cancel("outer", outer)
    say_end("outer", await ended(outer))
    await wait(ALL_COMPLETED, tasks)
    await end_all(tasks)


@scenario()
async def wait_reads_no_failure():
    tasks = spawn_all(sleeper("a", 1, -errno.EIO))
    await wait(ALL_COMPLETED, tasks)
