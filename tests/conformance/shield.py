# SPDX-License-Identifier: MIT
"""What a cancel does not reach: a task that is only awaited, and sections in which requests wait."""

from harness import *


async def awaits_shielded(inner):
    outcome = await ended(asyncio.shield(inner))
    say_end("await", outcome)
    return leave_with(outcome)


@scenario()
async def outer_cancelled_inner_goes_on():
    inner = spawn(sleeper("inner", 10, 7))
    outer = spawn(awaits_shielded(inner))
    await sleep_for(5)
    ask_to_cancel("outer", outer)
    say_end("outer", await ended(outer))
    say_end("inner", await ended(inner))


@scenario()
async def inner_cancelled():
    inner = spawn(sleeper("inner", 10, 7))
    outer = spawn(awaits_shielded(inner))
    await sleep_for(5)
    ask_to_cancel("inner", inner)
    say_end("outer", await ended(outer))
    say(f"requests: {outer.cancelling()}")


@scenario()
async def inner_fails():
    inner = spawn(sleeper("inner", 10, -errno.EIO))
    outer = spawn(awaits_shielded(inner))
    say_end("outer", await ended(outer))


@scenario()
async def inner_in_time():
    inner = spawn(sleeper("inner", 10, 7))
    say_end("await", await ended(asyncio.wait_for(asyncio.shield(inner), 0.005)))
    say_end("await", await ended(asyncio.wait_for(inner, 0.010)))


async def sections(depth):
    if depth > 1:
        await section(sections(depth - 1))
    else:
        say_end("section", await ended(sleep_for(10)))
    say_end("section", await ended(sleep_for(1)))


async def has_sections(depth):
    await section(sections(depth))
    say("left")
    say_end("next", await ended(sleep_for(1)))
    raise CancelledError


async def section_cancelled(depth):
    task = spawn(has_sections(depth))
    await sleep_for(5)
    ask_to_cancel("task", task)
    say_end("task", await ended(task))


@scenario()
async def section_keeps_a_cancel_off():
    await section_cancelled(1)


@scenario()
async def sections_nest():
    await section_cancelled(3)


async def has_a_limit_inside(future):
    say_end("future", await section(ended(asyncio.wait_for(future, 0.010))))
    say_end("next", await ended(sleep_for(1)))
    raise CancelledError


@scenario()
async def section_has_limits():
    task = spawn(has_a_limit_inside(new_future()))
    await sleep_for(5)
    ask_to_cancel("task", task)
    say_end("task", await ended(task))
