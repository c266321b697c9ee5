# SPDX-License-Identifier: MIT
"""Requests to cancel are counted, and each can be taken back."""

from harness import *


def uncancel():
    return asyncio.current_task().uncancel()


async def counts():
    say_end("sleep", await ended(sleep_for(50)))
    say(f"requests: {asyncio.current_task().cancelling()}")
    say(f"requests: {uncancel()}")
    say(f"requests: {uncancel()}")
    say(f"requests: {uncancel()}")
    say_end("sleep", await ended(sleep_for(1)))
    return 7


@scenario()
async def requests_are_counted():
    task = spawn(counts())
    await sleep_for(5)
    ask_to_cancel("task", task)
    ask_to_cancel("task", task)
    say(f"requests: {task.cancelling()}")
    say_end("task", await ended(task))


@scenario()
async def no_request_to_take_back():
    say(f"requests: {uncancel()}")
    say_end("sleep", await ended(sleep_for(1)))


class Limit:
    """A limit made by hand: a timer cancels its own task, which takes that request back and goes on."""

    def __init__(self):
        self.task = asyncio.current_task()
        self.expired = False

    def expire(self):
        self.expired = True
        self.task.cancel()


async def has_a_limit():
    limit = Limit()
    timer = call_later(10, limit.expire)
    outcome = await ended(sleep_for(50))
    say_end("sleep", outcome)
    timer.cancel()
    if not limit.expired:
        return leave_with(outcome)
    say(f"requests: {uncancel()}")
    say_end("sleep", await ended(sleep_for(5)))
    return 7


@scenario()
async def limit_by_hand():
    say_end("task", await ended(spawn(has_a_limit())))


@scenario()
async def limit_by_hand_and_a_request():
    task = spawn(has_a_limit())
    await sleep_for(5)
    ask_to_cancel("task", task)
    say_end("task", await ended(task))


@scenario()
async def requests_stay_after_the_end():
    task = spawn(sleeper("a", 50))
    await sleep_for(5)
    ask_to_cancel("a", task)
    say_end("a", await ended(task))
    say(f"requests: {task.cancelling()}")
