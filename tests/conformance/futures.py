# SPDX-License-Identifier: MIT
"""Futures: set once, awaited by many, and the callbacks that they call."""

from harness import *


async def awaits_value(future):
    outcome = await ended(future)
    say_end("awaiter", outcome)
    return leave_with(outcome)


@scenario()
async def set_before_await():
    future = new_future()
    set_value(future, 4)
    say_end("future", await ended(future))


@scenario()
async def await_before_set():
    future = new_future()
    task = spawn(awaits_value(future))
    await sleep_for(2)
    set_value(future, 4)
    say_end("task", await ended(task))


@scenario()
async def set_twice():
    future = new_future()
    set_value(future, 1)
    set_value(future, 2)
    say_end("error", tried(future.set_exception, OSError(errno.EIO, "")))
    say_end("future", await ended(future))


@scenario()
async def set_error():
    future = new_future()
    future.set_exception(OSError(errno.EIO, ""))
    say_end("first", await ended(future))
    say_end("second", await ended(future))


@scenario()
async def result_while_pending():
    future = new_future()
    say_end("result", tried(future.result))
    say(f"done: {future.done():d}")
    set_value(future, 3)
    say_end("result", tried(future.result))
    say(f"done: {future.done():d}")


@scenario()
async def future_cancelled():
    future = new_future()
    task = spawn(awaits_value(future))
    await sleep_for(1)
    say(f"cancelled: {future.cancel():d}")
    say_end("task", await ended(task))
    say(f"requests: {task.cancelling()}")
    set_value(future, 1)
    say(f"cancelled: {future.cancel():d}")


@scenario()
async def cancel_a_set_one():
    future = new_future()
    set_value(future, 6)
    say(f"cancelled: {future.cancel():d}")
    say_end("future", await ended(future))


@scenario()
async def awaiter_of_a_future_cancelled():
    future = new_future()
    task = spawn(awaits_value(future))
    await sleep_for(1)
    ask_to_cancel("task", task)
    say_end("task", await ended(task))
    say(f"done: {future.done():d}")
    set_value(future, 3)
    say_end("future", await ended(future))


@scenario()
async def future_in_time():
    future = new_future()
    say_end("future", await ended(asyncio.wait_for(asyncio.shield(future), 0.005)))
    say(f"done: {future.done():d}")
    set_value(future, 3)
    say_end("future", await ended(asyncio.wait_for(asyncio.shield(future), 0.005)))


async def shares_value(name, future, ms):
    outcome = await asyncio.shield(future)
    await sleep_for(ms)
    say_end(name, outcome)
    return outcome


@scenario()
async def one_value_for_many():
    future = new_future()
    a, b, c = (spawn(shares_value(name, future, ms)) for name, ms in (("a", 1), ("b", 2), ("c", 3)))
    await sleep_for(1)
    set_value(future, 9)
    await a
    await b
    await c


@scenario()
async def one_of_many_cancelled():
    future = new_future()
    a, b = (spawn(shares_value(name, future, ms)) for name, ms in (("a", 1), ("b", 2)))
    await sleep_for(1)
    ask_to_cancel("a", a)
    say_end("a", await ended(a))
    set_value(future, 9)
    say_end("b", await ended(b))


class Says:
    """A done callback of its own: asyncio removes callbacks by equality, Hilo by their place."""

    def __init__(self, text):
        self.text = text

    def __call__(self, future):
        say(self.text)


@scenario()
async def done_in_order():
    future = new_future()
    future.add_done_callback(Says("a"))
    future.add_done_callback(Says("b"))
    future.add_done_callback(Says("c"))
    set_value(future, 1)
    say("after set")
    await sleep_for(1)


@scenario()
async def done_removed():
    future = new_future()
    a, b, c = Says("a"), Says("b"), Says("c")
    future.add_done_callback(a)
    future.add_done_callback(b)
    future.add_done_callback(c)
    say(f"removed: {future.remove_done_callback(b)}")
    say(f"removed: {future.remove_done_callback(b)}")
    set_value(future, 1)
    await sleep_for(1)
    say(f"removed: {future.remove_done_callback(a)}")


@scenario()
async def done_asked_late():
    future = new_future()
    set_value(future, 1)
    future.add_done_callback(Says("a"))
    say("asked")
    await sleep_for(1)


@scenario()
async def done_removes_the_next():
    future = new_future()
    b = Says("b")
    future.add_done_callback(lambda future: say(f"a removes b: {future.remove_done_callback(b)}"))
    future.add_done_callback(b)
    set_value(future, 1)
    await sleep_for(1)


def asks_for_another(future):
    say("a")
    future.add_done_callback(Says("asked by a"))


@scenario()
async def done_asks_for_another():
    future = new_future()
    future.add_done_callback(asks_for_another)
    future.add_done_callback(Says("b"))
    set_value(future, 1)
    await sleep_for(1)


@scenario()
async def done_of_a_cancelled():
    future = new_future()
    future.add_done_callback(Says("a"))
    future.cancel()
    await sleep_for(1)
    say_end("future", tried(future.result))
