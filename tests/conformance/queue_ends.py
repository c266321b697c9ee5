# SPDX-License-Identifier: MIT
"""Queues: waiting until all is done, and shutting down.

Queues can be shut down since Python 3.13. What its documentation says of that is written out as a trace, for the
versions before.
"""

from harness import *


async def joins(name, start, ms, limit, queue):
    await sleep_for(start)
    outcome = await ended(within(limit, queue.join()))
    if outcome is None:
        await sleep_for(ms)
    say_end(name, outcome)
    return leave_with(outcome)


def say_done(queue):
    say(f"done, refused: {isinstance(tried(queue.task_done), ValueError):d}")


async def queue_with(n):
    queue = asyncio.Queue(3)
    for i in range(1, n + 1):
        await queue.put(i)
    return queue


@scenario()
async def join_nothing():
    queue = await queue_with(0)
    await spawn(joins("a", 0, 1, 0, queue))


@scenario()
async def join_until_all_is_done():
    queue = await queue_with(2)
    a = spawn(joins("a", 0, 1, 0, queue))
    b = spawn(joins("b", 1, 2, 0, queue))
    await sleep_for(2)
    await say_get("get", queue)
    await say_get("get", queue)
    say_done(queue)
    await sleep_for(5)
    say_done(queue)
    await a
    await b


@scenario()
async def done_too_often():
    queue = await queue_with(1)
    await say_get("get", queue)
    say_done(queue)
    say_done(queue)
    await say_put("put", queue, 2)
    say_done(queue)  # before it was got
    say_done(queue)


@scenario()
async def join_cancelled():
    queue = await queue_with(1)
    a = spawn(joins("a", 0, 1, 0, queue))
    b = spawn(joins("b", 1, 1, 0, queue))
    await sleep_for(2)
    ask_to_cancel("a", a)
    say_end("a", await ended(a))
    say_done(queue)
    await b


@scenario()
async def join_out_of_time():
    queue = await queue_with(1)
    a = spawn(joins("a", 0, 1, 5, queue))
    say_end("a", await ended(a))
    say_done(queue)
    a = spawn(joins("a", 0, 1, 5, queue))
    say_end("a", await ended(a))


@scenario()
async def join_and_more_is_put():
    queue = await queue_with(1)
    a = spawn(joins("a", 0, 1, 0, queue))
    await sleep_for(2)
    await say_put("put", queue, 2)
    say_done(queue)
    await sleep_for(2)
    say_done(queue)
    queue.put_nowait(3)  # at the same moment
    await a


@scenario()
async def join_while_somebody_waits_to_put():
    queue = await queue_with(3)
    a = spawn(joins("a", 0, 1, 0, queue))
    b = spawn(puts("b", 1, 2, 0, queue, 4))
    await sleep_for(2)
    await say_get("get", queue)
    for _ in range(3):
        say_done(queue)
    await sleep_for(5)
    say_done(queue)
    await a
    await b


# ---- shutting down


@scenario(since=13, documented="""
    0 put: EPIPE
    0 try to put: EPIPE
    0 get: 1
    0 try to get: 2
    0 get: EPIPE
    0 try to get: EPIPE
""")
async def shutdown_refuses():
    queue = await queue_with(2)
    queue.shutdown()
    await say_put("put", queue, 3)
    say_try_put(queue, 3)
    await say_get("get", queue)
    say_try_get(queue)
    await say_get("get", queue)
    say_try_get(queue)
    queue.shutdown()


@scenario(since=13, documented="""
    5 getter: EPIPE
    5 getter: EPIPE
    6 told: 2
""")
async def shutdown_wakes_getters():
    queue = await queue_with(0)
    a = spawn(gets("getter", 0, 0, 0, queue))
    b = spawn(gets("getter", 1, 0, 0, queue))
    await sleep_for(5)
    queue.shutdown()
    await sleep_for(1)
    n = isinstance(await ended(a), asyncio.QueueShutDown) + isinstance(await ended(b), asyncio.QueueShutDown)
    say(f"told: {n}")


@scenario(since=13, documented="""
    5 a: EPIPE
    5 a: EPIPE
    5 size: 3, empty: 0, full: 1
    5 get: 1
""")
async def shutdown_wakes_putters():
    queue = await queue_with(3)
    a = spawn(puts("a", 0, 0, 0, queue, 4))
    await sleep_for(5)
    queue.shutdown()
    say_end("a", await ended(a))
    say_sizes(queue)
    await say_get("get", queue)


@scenario(since=13, documented="""
    5 a: EPIPE
    5 a: EPIPE
    5 size: 0, empty: 1, full: 0
    5 get: EPIPE
    7 b: 0
    7 done, refused: 1
""")
async def shutdown_at_once_drops():
    queue = await queue_with(3)
    a = spawn(puts("a", 0, 0, 0, queue, 4))
    b = spawn(joins("b", 1, 2, 0, queue))
    await sleep_for(5)
    queue.shutdown(immediate=True)
    say_end("a", await ended(a))
    say_sizes(queue)
    await say_get("get", queue)
    await b
    say_done(queue)


@scenario(since=13, documented="""
    2 get: 1
    4 done, refused: 0
    4 get: 2
    6 done, refused: 0
    7 a: 0
""")
async def shutdown_and_join():
    queue = await queue_with(2)
    a = spawn(joins("a", 0, 1, 0, queue))
    await sleep_for(2)
    queue.shutdown()
    for _ in range(2):
        await say_get("get", queue)
        await sleep_for(2)
        say_done(queue)
    await a


@scenario(since=13, documented="""
    2 get: 1
    4 done, refused: 0
    5 a: 0
    5 done, refused: 1
""")
async def shutdown_while_one_is_worked_on():
    queue = await queue_with(3)
    a = spawn(joins("a", 0, 1, 0, queue))
    await sleep_for(2)
    await say_get("get", queue)
    queue.shutdown(immediate=True)
    await sleep_for(2)
    say_done(queue)
    await a
    say_done(queue)


@scenario(since=13, documented="""
    0 get: 1
    0 size: 0, empty: 1, full: 0
    0 get: EPIPE
""")
async def shutdown_then_at_once():
    queue = await queue_with(3)
    queue.shutdown()
    await say_get("get", queue)
    queue.shutdown(immediate=True)
    say_sizes(queue)
    await say_get("get", queue)
