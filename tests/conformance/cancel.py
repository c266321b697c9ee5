# SPDX-License-Identifier: MIT
"""Requests to cancel: when a task sees them, and what it may do about it."""

from harness import *


@scenario()
async def cancel_before_start():
    task = spawn(say_task("never"))
    ask_to_cancel("task", task)
    say_end("task", await ended(task))


async def cancel_after_5(task):
    await sleep_for(5)
    ask_to_cancel("a", task)
    say_end("a", await ended(task))


@scenario()
async def cancel_while_it_sleeps():
    await cancel_after_5(spawn(sleeper("a", 50, 7)))


@scenario()
async def cancel_what_has_ended():
    await cancel_after_5(spawn(sleeper("a", 1, 7)))


@scenario()
async def cancel_from_a_callback():
    task = spawn(sleeper("a", 50, 7))
    call_later(3, task.cancel)
    say_end("a", await ended(task))


@scenario()
async def cancel_swallowed():
    await cancel_after_5(spawn(sleeper("a", 50, 7, keeps=True)))


@scenario()
async def cancel_made_a_failure():
    await cancel_after_5(spawn(sleeper("a", 50, -errno.EIO, keeps=True)))


async def sleeps_twice(takes_back):
    say_end("first", await ended(sleep_for(50)))
    if takes_back:
        say(f"requests: {asyncio.current_task().uncancel()}")
    say_end("second", await ended(sleep_for(2)))
    return 7


@scenario()
async def cancel_swallowed_and_on():
    await cancel_after_5(spawn(sleeps_twice(False)))


@scenario()
async def cancel_taken_back_and_on():
    await cancel_after_5(spawn(sleeps_twice(True)))


async def cancels_itself():
    ask_to_cancel("myself", asyncio.current_task())
    say("still here")
    say_end("sleep", await ended(sleep_for(1)))
    raise CancelledError


@scenario()
async def cancel_oneself():
    say_end("task", await ended(spawn(cancels_itself())))


async def cancels_itself_and_returns():
    ask_to_cancel("myself", asyncio.current_task())
    return 5


@scenario()
async def cancel_oneself_and_return():
    say_end("task", await ended(spawn(cancels_itself_and_returns())))


@scenario()
async def cleanup_takes_time():
    await cancel_after_5(spawn(sleeper("a", 50, 7, cleanup=10)))


@scenario()
async def cleanup_and_another_cancel():
    task = spawn(sleeper("a", 50, 7, cleanup=10))
    await sleep_for(5)
    ask_to_cancel("a", task)
    await sleep_for(2)
    ask_to_cancel("a", task)
    say_end("a", await ended(task))


async def awaits(what, awaitable):
    outcome = await ended(awaitable)
    say_end(what, outcome)
    return leave_with(outcome)


@scenario()
async def awaiter_cancelled():
    inner = spawn(sleeper("inner", 10, 7))
    outer = spawn(awaits("await", inner))
    await sleep_for(5)
    ask_to_cancel("outer", outer)
    say_end("outer", await ended(outer))
    say_end("inner", await ended(inner))


@scenario()
async def awaited_cancelled():
    inner = spawn(sleeper("inner", 10, 7))
    outer = spawn(awaits("await", inner))
    await sleep_for(5)
    ask_to_cancel("inner", inner)
    say_end("outer", await ended(outer))
    say(f"requests: {outer.cancelling()}")


async def ends_as_cancelled():
    raise CancelledError


@scenario()
async def ended_as_cancelled():
    say_end("task", await ended(spawn(ends_as_cancelled())))
    say(f"requests: {asyncio.current_task().cancelling()}")
    say_end("sleep", await ended(sleep_for(1)))


@scenario()
async def result_then_cancel():
    future = new_future()
    task = spawn(awaits("value", future))
    await sleep_for(1)
    set_value(future, 3)
    ask_to_cancel("task", task)
    say_end("task", await ended(task))


@scenario()
async def cancel_then_result():
    future = new_future()
    task = spawn(awaits("value", asyncio.shield(future)))
    await sleep_for(1)
    ask_to_cancel("task", task)
    set_value(future, 3)
    say_end("task", await ended(task))


async def yields_twice(there):
    there.append(True)
    outcome = await ended(sleep_for(0))
    say_end("first", outcome)
    if outcome is None:
        say_end("second", await ended(sleep_for(0)))
    raise CancelledError


@scenario()
async def cancel_while_it_yields():
    there = []
    task = spawn(yields_twice(there))
    while not there:
        await sleep_for(0)
    ask_to_cancel("task", task)
    say_end("task", await ended(task))
