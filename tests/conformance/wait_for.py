# SPDX-License-Identifier: MIT
"""Waiting for one task, which ends with the wait."""

from harness import *


async def wait_for(ms, coroutine):
    return await ended(asyncio.wait_for(coroutine, ms if ms is None else ms / 1000))


@scenario()
async def result_in_time():
    say_end("wait_for", await wait_for(10, sleeper("a", 5, 7)))


@scenario()
async def result_without_limit():
    say_end("wait_for", await wait_for(None, sleeper("a", 5, 7)))


@scenario()
async def failure_in_time():
    say_end("wait_for", await wait_for(10, sleeper("a", 5, -errno.EIO)))


@scenario()
async def too_late():
    say_end("wait_for", await wait_for(5, sleeper("a", 50, 7)))


@scenario()
async def too_late_waits_for_the_end():
    say_end("wait_for", await wait_for(5, sleeper("a", 50, 7, cleanup=20)))


@scenario()
async def too_late_and_keeps_its_result():
    say_end("wait_for", await wait_for(5, sleeper("a", 50, 7, cleanup=2, keeps=True)))


@scenario()
async def too_late_and_fails():
    say_end("wait_for", await wait_for(5, sleeper("a", 50, -errno.EIO, cleanup=2, keeps=True)))


@scenario()
async def no_time():
    say_end("wait_for", await wait_for(0, sleeper("a", 50, 7)))
    say_end("sleep", await sleep_for(1))


@scenario()
async def after_a_timeout_all_goes_on():
    say_end("wait_for", await wait_for(5, sleeper("a", 50, 7)))
    say_end("sleep", await sleep_for(1))
    say_end("wait_for", await wait_for(5, sleeper("b", 1, 8)))
    say(f"requests: {asyncio.current_task().cancelling()}")


async def has_a_limit(inner, coroutine):
    outcome = await wait_for(inner, coroutine)
    say_end("inner", outcome)
    if isinstance(outcome, TimeoutError):
        return 1
    return leave_with(outcome)


async def two_limits(outer, inner):
    say_end("outer", await wait_for(outer, has_a_limit(inner, sleeper("a", 50, 7))))


@scenario()
async def inner_limit_first():
    await two_limits(9, 4)


@scenario()
async def outer_limit_first():
    await two_limits(4, 9)


async def waits_for(coroutine):
    outcome = await wait_for(100, coroutine)
    say_end("wait_for", outcome)
    leave_with(outcome)
    say_end("next", await ended(sleep_for(1)))
    return outcome


async def cancelled_while_it_waits(inner):
    outer = spawn(waits_for(inner))
    await sleep_for(5)
    ask_to_cancel("outer", outer)
    say_end("outer", await ended(outer))


@scenario()
async def wait_for_cancelled():
    await cancelled_while_it_waits(sleeper("a", 50, 7, cleanup=20))


@scenario()
async def wait_for_cancelled_and_a_result():
    await cancelled_while_it_waits(sleeper("a", 50, 7, cleanup=2, keeps=True))


async def cancelled_before():
    asyncio.current_task().cancel()
    outcome = await wait_for(100, say_task("begun"))
    say_end("wait_for", outcome)
    leave_with(outcome)


@scenario()
async def cancelled_before_wait_for():
    say_end("outer", await ended(spawn(cancelled_before())))
