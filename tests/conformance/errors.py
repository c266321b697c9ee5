# SPDX-License-Identifier: MIT
"""Failures: what travels with them, and which of them nobody has looked at."""

from harness import *


@scenario()
async def failure_nobody_looked_at():
    spawn(sleeper("a", 1, -errno.EIO))
    await sleep_for(2)


@scenario()
async def failure_looked_at():
    task = spawn(sleeper("a", 1, -errno.EIO))
    await sleep_for(2)
    say_end("a", tried(task.result))


@scenario()
async def failure_looked_at_by_one_of_two():
    task = spawn(sleeper("a", 1, -errno.EIO))
    say_end("a", await ended(task))


@scenario()
async def failure_waited_for_in_vain():
    task = spawn(sleeper("a", 10, -errno.EIO))
    done, pending = await asyncio.wait([task], timeout=0.005)
    say(f"waited: {len(done)}")
    await sleep_for(10)


@scenario()
async def cancel_is_no_failure():
    task = spawn(sleeper("a", 50))
    await sleep_for(1)
    ask_to_cancel("a", task)
    await sleep_for(1)


@scenario()
async def failed_future_nobody_looked_at():
    future = new_future()
    future.set_exception(OSError(errno.EIO, ""))


@scenario()
async def failed_future_looked_at():
    future = new_future()
    future.set_exception(OSError(errno.EIO, ""))
    say_end("future", tried(future.result))


@scenario()
async def cancelled_future_is_no_failure():
    new_future().cancel()


@scenario()
async def done_callback_has_not_looked():
    future = new_future()
    future.add_done_callback(lambda future: say("done"))
    future.set_exception(OSError(errno.EIO, ""))
    await sleep_for(1)


async def fails_with_a_message():
    raise OSError(errno.EIO, f"block {12} is unreadable")


@scenario()
async def message_travels():
    failure = await ended(spawn(fails_with_a_message()))
    say_end("task", failure)
    say(f"message: {failure.strerror}")


async def fails_because_of_another():
    try:
        await spawn(fails_with_a_message())
    except OSError as failure:
        raise OSError(errno.ENOENT, "there is no such file") from failure


@scenario()
async def cause_travels():
    failure = await ended(spawn(fails_because_of_another()))
    say_end("task", failure)
    say(f"message: {failure.strerror}")
    say(f"because: {failure.__cause__.strerror}")
    say_end("because", failure.__cause__)


async def gathers_a_failure():
    await asyncio.gather(fails_with_a_message())


@scenario()
async def message_travels_through_gather():
    failure = await ended(spawn(gathers_a_failure()))
    say_end("task", failure)
    say(f"message: {failure.strerror}")
