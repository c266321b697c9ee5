# SPDX-License-Identifier: MIT
"""Queues: who is served next, whose an item is, and what a cancel or a limit leaves behind."""

from harness import *


@scenario()
async def queue_in_order():
    queue = asyncio.Queue(3)
    for i in range(1, 4):
        await say_put("put", queue, i)
    for _ in range(3):
        await say_get("get", queue)


@scenario()
async def queue_waits_for_an_item():
    queue = asyncio.Queue()
    a = spawn(gets("a", 0, 1, 0, queue))
    await sleep_for(5)
    await say_put("put", queue, 1)
    await a


@scenario()
async def queue_waits_for_room():
    queue = asyncio.Queue(1)
    a = spawn(puts("a", 0, 1, 0, queue, 1))
    b = spawn(puts("b", 1, 2, 0, queue, 2))
    await sleep_for(5)
    await say_get("get", queue)
    await sleep_for(5)
    await say_get("get", queue)
    await a
    await b


@scenario()
async def queue_getters_in_order():
    queue = asyncio.Queue(3)
    a = spawn(gets("a", 0, 1, 0, queue))
    b = spawn(gets("b", 1, 1, 0, queue))
    c = spawn(gets("c", 2, 1, 0, queue))
    await sleep_for(5)
    for i in range(1, 4):
        await say_put("put", queue, i)
        await sleep_for(3)
    await a
    await b
    await c


@scenario()
async def queue_items_at_once():
    queue = asyncio.Queue(3)
    a = spawn(gets("a", 0, 2, 0, queue))
    b = spawn(gets("b", 1, 1, 0, queue))
    await sleep_for(5)
    for i in range(1, 4):
        queue.put_nowait(i)
    await a
    await b
    await say_get("get", queue)


@scenario()
async def queue_putters_in_order():
    queue = asyncio.Queue(1)
    a = spawn(puts("a", 0, 1, 0, queue, 1))
    b = spawn(puts("b", 1, 1, 0, queue, 2))
    c = spawn(puts("c", 2, 1, 0, queue, 3))
    await sleep_for(5)
    for _ in range(3):
        await say_get("get", queue)
        await sleep_for(3)
    await a
    await b
    await c


@scenario()
async def queue_rooms_at_once():
    queue = asyncio.Queue(2)
    await say_put("put", queue, 1)
    await say_put("put", queue, 2)
    a = spawn(puts("a", 0, 2, 0, queue, 3))
    b = spawn(puts("b", 1, 1, 0, queue, 4))
    await sleep_for(5)
    await say_get("get", queue)
    await say_get("get", queue)
    await a
    await b
    await say_get("get", queue)
    await say_get("get", queue)


@scenario()
async def queue_getter_cancelled():
    queue = asyncio.Queue(3)
    a = spawn(gets("a", 0, 2, 0, queue))
    b = spawn(gets("b", 1, 1, 0, queue))
    c = spawn(gets("c", 2, 1, 0, queue))
    await sleep_for(5)
    ask_to_cancel("b", b)
    say_end("b", await ended(b))
    await say_put("put", queue, 1)
    await say_put("put", queue, 2)
    await a
    await c


@scenario()
async def queue_putter_cancelled():
    queue = asyncio.Queue(1)
    await say_put("put", queue, 1)
    a = spawn(puts("a", 0, 1, 0, queue, 2))
    b = spawn(puts("b", 1, 1, 0, queue, 3))
    await sleep_for(5)
    ask_to_cancel("a", a)
    say_end("a", await ended(a))
    await say_get("get", queue)
    await b
    await say_get("get", queue)


@scenario()
async def queue_getter_out_of_time():
    queue = asyncio.Queue(1)
    await say_get("get", queue, 5)
    await say_put("put", queue, 1)
    say_sizes(queue)
    await say_get("get", queue, 5)


@scenario()
async def queue_putter_out_of_time():
    queue = asyncio.Queue(1)
    await say_put("put", queue, 1, 5)
    await say_put("put", queue, 2, 5)
    await say_get("get", queue, 5)
    await say_get("get", queue, 5)


@scenario()
async def queue_without_time():
    queue = asyncio.Queue(1)
    await say_get("get", queue, -1)
    await say_put("put", queue, 1, -1)
    await say_put("put", queue, 2, -1)
    await say_get("get", queue, -1)


@scenario()
async def queue_without_waiting():
    queue = asyncio.Queue(1)
    say_try_get(queue)
    say_try_put(queue, 1)
    say_try_put(queue, 2)
    say_try_get(queue)
    say_try_get(queue)


@scenario()
async def queue_full_and_empty():
    queue = asyncio.Queue(2)
    say(f"capacity: {queue.maxsize}")
    say_sizes(queue)
    await say_put("put", queue, 1)
    say_sizes(queue)
    await say_put("put", queue, 2)
    say_sizes(queue)
    await say_get("get", queue)
    say_sizes(queue)


@scenario()
async def queue_without_a_limit():
    queue = asyncio.Queue()
    for i in range(1000):
        await queue.put(i)
    say_sizes(queue)
    for _ in range(999):
        await queue.get()
    await say_get("get", queue)
    say_sizes(queue)


@scenario()
async def queue_of_nothing():
    queue = asyncio.Queue(1)
    await say_put("put", queue, None)
    say_sizes(queue)
    await say_get("get", queue)


@scenario()
async def queue_put_by_a_callback():
    queue = asyncio.Queue(1)
    a = spawn(gets("a", 0, 1, 0, queue))
    call_later(5, say_try_put, queue, 7)
    await a


async def produces(queue):
    for i in range(1, 6):
        await sleep_for(2)
        await say_put("put", queue, i)


@scenario()
async def queue_slow_consumer():
    queue = asyncio.Queue(1)
    producer = spawn(produces(queue))
    for _ in range(5):
        await sleep_for(7)
        await say_get("get", queue)
    await producer


# ---- what comes at one moment


@scenario()
async def queue_cancelled_after_the_item():
    queue = asyncio.Queue(1)
    a = spawn(gets("a", 0, 0, 0, queue))
    await sleep_for(2)
    await say_put("put", queue, 1)
    ask_to_cancel("a", a)
    say_end("a", await ended(a))
    say_try_get(queue)


@scenario()
async def queue_cancelled_after_the_room():
    queue = asyncio.Queue(1)
    await say_put("put", queue, 1)
    a = spawn(puts("a", 0, 0, 0, queue, 2))
    await sleep_for(2)
    await say_get("get", queue)
    ask_to_cancel("a", a)
    say_end("a", await ended(a))
    say_try_get(queue)


@scenario()
async def queue_item_for_who_waits():
    queue = asyncio.Queue(1)
    a = spawn(gets("a", 0, 1, 5, queue))
    await sleep_for(2)
    await say_put("put", queue, 1)
    say_sizes(queue)
    say_try_get(queue)
    say_end("a", await ended(a))


@scenario()
async def queue_room_for_who_waits():
    queue = asyncio.Queue(1)
    await say_put("put", queue, 1)
    a = spawn(puts("a", 0, 1, 5, queue, 2))
    await sleep_for(2)
    await say_get("get", queue)
    say_sizes(queue)
    say_try_put(queue, 3)
    say_end("a", await ended(a))
    say_try_get(queue)


async def gets_cancelled(queue):
    asyncio.current_task().cancel()
    await say_get("get", queue)


async def puts_cancelled(queue):
    asyncio.current_task().cancel()
    await say_put("put", queue, 2)


@scenario()
async def queue_get_when_cancelled_before():
    queue = asyncio.Queue(1)
    await say_put("put", queue, 1)
    say_end("task", await ended(spawn(gets_cancelled(queue))))
    say_try_get(queue)


@scenario()
async def queue_put_when_cancelled_before():
    queue = asyncio.Queue(1)
    say_end("task", await ended(spawn(puts_cancelled(queue))))
    say_try_get(queue)
