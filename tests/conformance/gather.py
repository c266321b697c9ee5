# SPDX-License-Identifier: MIT
"""Waiting for several tasks and owning them."""

from harness import *


def say_gathered(outcome):
    """0 and the results by position, or the failure."""
    if isinstance(outcome, BaseException):
        say_end("gather", outcome)
    else:
        say_end("gather", 0)
        for name, result in zip(("first", "second", "third"), outcome):
            say_end(name, result)


def keep(*tasks):
    return asyncio.gather(*tasks, return_exceptions=True)


@scenario()
async def gather_by_position():
    say_gathered(await ended(keep(sleeper("a", 3, 1), sleeper("b", 1, 2), sleeper("c", 2, 3))))


@scenario()
async def gather_of_none():
    say_gathered(await ended(asyncio.gather()))


@scenario()
async def gather_what_has_ended():
    a, b = spawn(sleeper("a", 1, 1)), spawn(sleeper("b", 2, 2))
    await sleep_for(5)
    say_gathered(await ended(keep(a, b)))


@scenario()
async def gather_first_failure():
    c = spawn(sleeper("c", 6, 3))
    say_gathered(await ended(asyncio.gather(sleeper("a", 3, 1), sleeper("b", 2, -errno.EIO), c)))
    say_end("c", await ended(c))


@scenario()
async def gather_two_failures():
    say_gathered(await ended(asyncio.gather(sleeper("a", 5, -errno.EIO), sleeper("b", 2, -errno.EPIPE))))
    await sleep_for(5)


@scenario()
async def gather_failures_as_results():
    say_gathered(await ended(keep(sleeper("a", 1, -errno.EIO), sleeper("b", 3, 2), sleeper("c", 2, -errno.EPIPE))))


@scenario()
async def gather_one_twice():
    a = spawn(sleeper("a", 1, 4))
    say_gathered(await ended(keep(a, sleeper("b", 2, 5), a)))


async def gatherer(a, b, keep_failures=False):
    outcome = await ended(asyncio.gather(a, b, return_exceptions=keep_failures))
    say_gathered(outcome)
    leave_with(outcome)


async def cancels_after_5(outer):
    await sleep_for(5)
    ask_to_cancel("outer", outer)
    say_end("outer", await ended(outer))


@scenario()
async def gather_cancelled():
    await cancels_after_5(spawn(gatherer(sleeper("a", 50), sleeper("b", 2))))


@scenario()
async def gather_cancelled_waits_for_the_end():
    await cancels_after_5(spawn(gatherer(sleeper("a", 50, cleanup=10), sleeper("b", 60, cleanup=20))))


@scenario()
async def gather_cancelled_with_results():
    await cancels_after_5(spawn(gatherer(sleeper("a", 2, 1), sleeper("b", 60, cleanup=1), True)))


@scenario()
async def gather_cancelled_and_one_keeps_its_result():
    await cancels_after_5(spawn(gatherer(sleeper("a", 50, 1, 2, True), sleeper("b", 2))))


@scenario()
async def gather_and_a_child_cancelled():
    a, b = spawn(sleeper("a", 50)), spawn(sleeper("b", 10, 2))
    outer = spawn(gatherer(a, b))
    await sleep_for(5)
    ask_to_cancel("a", a)
    say_end("outer", await ended(outer))
    say(f"requests: {outer.cancelling()}")
    say_end("b", await ended(b))


@scenario()
async def gather_results_and_a_child_cancelled():
    a, b = spawn(sleeper("a", 50)), spawn(sleeper("b", 10, 2))
    call_later(5, a.cancel)
    say_gathered(await ended(keep(a, b)))


@scenario()
async def gather_in_time():
    say_gathered(await ended(asyncio.wait_for(keep(sleeper("a", 2, 1), sleeper("b", 50, 2, 3)), 0.005)))
    await sleep_for(1)
    say("the end")


async def gathers_in_turn():
    return await asyncio.gather(sleeper("c", 50), sleeper("d", 2, 4))


@scenario()
async def gather_of_gathers_cancelled():
    await cancels_after_5(spawn(gatherer(gathers_in_turn(), sleeper("b", 3))))
