# SPDX-License-Identifier: MIT
"""Why a task was asked to stop: a text that travels with the request."""

from harness import *


def say_reason(who, cancelled):
    say(f"{who}: {cancelled.args[0] if cancelled.args else 'no reason'}")


async def say_reason_of(task):
    outcome = await ended(task)
    say_end("task", outcome)
    say_reason("its awaiter", outcome)


async def told():
    cancelled = await ended(sleep_for(50))
    say_reason("the task", cancelled)
    raise cancelled


@scenario()
async def reason_is_told():
    task = spawn(told())
    await sleep_for(1)
    task.cancel("enough")
    await say_reason_of(task)


@scenario()
async def reason_of_a_task_that_never_began():
    task = spawn(told())
    task.cancel("enough")
    await say_reason_of(task)


@scenario()
async def reason_is_not_given():
    task = spawn(told())
    await sleep_for(1)
    task.cancel()
    await say_reason_of(task)


@scenario()
async def reason_of_the_first_counts():
    task = spawn(told())
    await sleep_for(1)
    task.cancel("the first")
    task.cancel("the second")
    await say_reason_of(task)


async def told_twice():
    cancelled = await ended(sleep_for(50))
    say_end("sleep", cancelled)
    say_reason("the task", cancelled)
    say(f"requests: {asyncio.current_task().uncancel()}")
    await told()


@scenario()
async def reason_goes_with_its_request():
    task = spawn(told_twice())
    await sleep_for(1)
    task.cancel("the first")
    await sleep_for(1)
    task.cancel("the second")
    await say_reason_of(task)


async def awaits(task):
    await say_reason_of(task)
    raise CancelledError


@scenario()
async def reason_reaches_whoever_awaits():
    task = spawn(told())
    outer = spawn(awaits(task))
    await sleep_for(1)
    task.cancel("enough")
    say_end("outer", await ended(outer))
