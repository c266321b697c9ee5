# SPDX-License-Identifier: MIT
"""Blocks with a limit in time, and blocks that something is acquired for."""

from contextlib import AsyncExitStack

from harness import *


def say_requests():
    say(f"requests: {asyncio.current_task().cancelling()}")


def say_limit(limit, outcome):
    """How a block has ended whose limit is that, and that it has left nothing behind."""
    say_end("limit", outcome)
    say(f"expired: {limit.expired():d}")
    say_requests()


async def in_block(manager, awaitable):
    async with manager:
        return await awaitable


async def limited(when, ms, code=0, keeps=False):
    """A block that has to end at a time, sleeps, and ends with a code."""

    async def block():
        interrupted = await ended(sleep_for(ms))
        say_end("sleep", interrupted)
        if interrupted and not keeps:
            raise interrupted
        return finish(code)

    limit = asyncio.timeout_at(when)
    outcome = await ended(in_block(limit, block()))
    say_limit(limit, outcome)
    return leave_with(outcome)


async def run_limited(*args, **block):
    await ended(limited(*args, **block))


@scenario()
async def limit_expires():
    await run_limited(after(5), 20)
    say_end("sleep", await ended(sleep_for(20)))


@scenario()
async def limit_does_not_expire():
    await run_limited(after(5), 3)
    await run_limited(after(5), 3, code=-errno.EIO)
    await run_limited(None, 20, code=7)


@scenario()
async def limit_of_no_time():
    await run_limited(after(0), 20)


@scenario()
async def limit_in_the_past():
    await run_limited(after(-5), 20)


@scenario()
async def limit_of_no_time_and_no_wait():
    async def block():
        return 7

    limit = asyncio.timeout(0)
    say_limit(limit, await ended(in_block(limit, block())))
    say_end("sleep", await ended(sleep_for(1)))


@scenario()
async def limit_without_notice():
    await run_limited(after(5), 20, code=7, keeps=True)
    say_end("sleep", await ended(sleep_for(1)))


@scenario()
async def limit_becomes_a_failure():
    await run_limited(after(5), 20, code=-errno.EIO, keeps=True)


async def limit_moved(when, then):
    async def block():
        await sleep_for(2)
        limit.reschedule(then)
        interrupted = await ended(sleep_for(20))
        say_end("sleep", interrupted)
        leave_with(interrupted)

    limit = asyncio.timeout_at(when)
    say_end("limit", await ended(in_block(limit, block())))


@scenario()
async def limit_moved_later():
    await limit_moved(after(5), after(10))


@scenario()
async def limit_moved_earlier():
    await limit_moved(after(10), after(5))


@scenario()
async def limit_moved_to_the_past():
    await limit_moved(after(10), after(1))


@scenario()
async def limit_taken_away():
    await limit_moved(after(5), None)


@scenario()
async def limit_given_later():
    await limit_moved(None, after(5))


@scenario()
async def limit_moved_when_it_is_over():
    async def block():
        interrupted = await ended(sleep_for(20))
        say_end("move", tried(limit.reschedule, after(50)))
        say(f"expired: {limit.expired():d}")
        leave_with(interrupted)

    limit = asyncio.timeout(0.005)
    say_end("limit", await ended(in_block(limit, block())))


async def moves_at_3(limit):
    await sleep_for(3)
    say_end("move", tried(limit.reschedule, after(7)))


@scenario()
async def limit_moved_by_another_task():
    limit = asyncio.timeout(0.005)
    task = spawn(moves_at_3(limit))
    say_end("limit", await ended(in_block(limit, sleep_for(20))))
    await task


async def two_limits(far, near):
    """Two limits, one in the other: what each block ends with, and what the outer one can still do."""

    async def block():
        outcome = await ended(in_block(asyncio.timeout_at(near), sleep_for(20)))
        say_end("inside", outcome)
        say_requests()
        if isinstance(outcome, TimeoutError):
            await sleep_for(1)
        else:
            leave_with(outcome)

    say_end("outside", await ended(in_block(asyncio.timeout_at(far), block())))
    say_requests()


@scenario()
async def limits_inner_first():
    await two_limits(after(10), after(5))


@scenario()
async def limits_outer_first():
    await two_limits(after(5), after(10))


@scenario()
async def limits_at_one_time():
    await two_limits(after(5), after(5))


@scenario()
async def limit_and_a_deadline():
    async def block():
        say_end("future", await ended(asyncio.wait_for(asyncio.shield(future), 0.003)))
        outcome = await ended(asyncio.wait_for(asyncio.shield(future), 0.007))
        say_end("future", outcome)
        leave_with(outcome)

    future = new_future()
    say_end("limit", await ended(in_block(asyncio.timeout(0.005), block())))


@scenario()
async def limit_and_a_cancel():
    task = spawn(limited(after(5), 20))
    call_later(3, task.cancel)
    say_end("task", await ended(task))


async def cleans_up_in_a_limit():
    async def block():
        interrupted = await ended(sleep_for(20))
        say_end("sleep", interrupted)
        await section(sleep_for(10))
        leave_with(interrupted)

    limit = asyncio.timeout(0.005)
    outcome = await ended(in_block(limit, block()))
    say_limit(limit, outcome)
    leave_with(outcome)


@scenario()
async def limit_and_then_a_cancel():
    task = spawn(cleans_up_in_a_limit())
    call_later(8, task.cancel)
    say_end("task", await ended(task))


async def limited_with_a_request_set(when, ms):
    ask_to_cancel("myself", asyncio.current_task())
    await limited(when, ms)


@scenario()
async def limit_with_a_request_set():
    say_end("task", await ended(spawn(limited_with_a_request_set(after(5), 20))))


@scenario()
async def limit_of_no_time_with_a_request_set():
    say_end("task", await ended(spawn(limited_with_a_request_set(after(0), 20))))


class Thing:
    """Something that takes time to enter and to leave; exits is a code, or 1: what the block ended with."""

    def __init__(self, name, enters, exits):
        self.name = name
        self.enters = enters
        self.exits = exits

    async def __aenter__(self):
        await sleep_for(1)
        outcome = tried(finish, self.enters)
        say_end(self.name, outcome)
        leave_with(outcome)

    async def __aexit__(self, _type, failure, _traceback):
        await sleep_for(2)
        say(f"leave {self.name}")
        say_end("block", failure)
        return finish(self.exits) == 0


async def with_thing(enters, exits, ms, code):
    """A block with a thing, which sleeps and ends with a code."""

    async def block():
        await sleep_for(ms)
        finish(code)

    outcome = await ended(in_thing(Thing("thing", enters, exits), block))
    say_end("with", outcome)
    return leave_with(outcome)


async def in_thing(thing, block):
    async with thing:
        return await block()


async def run_with(*args):
    await ended(with_thing(*args))


@scenario()
async def with_success():
    await run_with(0, 1, 3, 0)


@scenario()
async def with_failure():
    await run_with(0, 1, 3, -errno.EIO)


@scenario()
async def with_failure_dealt_with():
    await run_with(0, 0, 3, -errno.EIO)


@scenario()
async def with_another_failure():
    await run_with(0, -errno.EPIPE, 3, -errno.EIO)


@scenario()
async def with_success_and_a_failure_to_leave():
    await run_with(0, -errno.EPIPE, 3, 0)


@scenario()
async def with_what_cannot_be_entered():
    await run_with(-errno.EIO, 1, 3, 0)


@scenario()
async def with_cancel():
    task = spawn(with_thing(0, 1, 20, 0))
    call_later(5, task.cancel)
    say_end("task", await ended(task))


@scenario()
async def with_cancel_dealt_with():
    task = spawn(with_thing(0, 0, 20, 0))
    call_later(5, task.cancel)
    say_end("task", await ended(task))
    say(f"requests: {task.cancelling()}")


@scenario()
async def with_limit():
    say_end("limit", await ended(in_block(asyncio.timeout(0.005), with_thing(0, 1, 20, 0))))


@scenario()
async def with_two():
    async def block():
        async with Thing("a", 0, 1), Thing("b", 0, 1):
            finish(-errno.EIO)

    say_end("with", await ended(block()))


@scenario()
async def with_return():
    async def function():
        async with Thing("a", 0, 1):
            return 7

    say_end("function", await function())


async def sleep_and_say(text):
    await sleep_for(1)
    say(text)


async def defers():
    async with AsyncExitStack() as stack:
        stack.push_async_callback(sleep_and_say, "the last")
        stack.push_async_callback(sleep_and_say, "the first")
        interrupted = await ended(sleep_for(20))
        say_end("sleep", interrupted)
        leave_with(interrupted)


@scenario()
async def defer_and_a_cancel():
    task = spawn(defers())
    call_later(5, task.cancel)
    say_end("task", await ended(task))
