# SPDX-License-Identifier: MIT
"""Queues of which the newest item, or the lowest, is got first."""

from harness import *


class Tens(int):
    """Compared by its tens: 21 and 25 are equal."""

    def __lt__(self, other):
        return self // 10 < other // 10


async def put_all(queue, *values):
    for value in values:
        await queue.put(Tens(value))


def get_all(queue):
    while not queue.empty():
        say_try_get(queue)


@scenario()
async def lifo_newest_first():
    queue = asyncio.LifoQueue()
    await put_all(queue, 1, 2, 3)
    say_try_get(queue)
    await put_all(queue, 4)
    get_all(queue)


@scenario()
async def lifo_waits_for_room():
    queue = asyncio.LifoQueue(2)
    await put_all(queue, 1, 2)
    say_try_put(queue, 3)
    a = spawn(puts("a", 0, 1, 0, queue, 3))
    await sleep_for(5)
    await say_get("get", queue)
    await a
    get_all(queue)


@scenario()
async def lifo_getters_in_order():
    queue = asyncio.LifoQueue(2)
    a = spawn(gets("a", 0, 1, 0, queue))
    b = spawn(gets("b", 1, 1, 0, queue))
    await sleep_for(5)
    await say_put("put", queue, 1)
    await sleep_for(5)
    await say_put("put", queue, 2)
    await a
    await b


@scenario()
async def lifo_items_at_once():
    queue = asyncio.LifoQueue(2)
    a = spawn(gets("a", 0, 1, 0, queue))
    b = spawn(gets("b", 1, 2, 0, queue))
    await sleep_for(5)
    say_try_put(queue, 1)
    say_try_put(queue, 2)
    await a
    await b


@scenario()
async def priority_lowest_first():
    queue = asyncio.PriorityQueue()
    await put_all(queue, 50, 20, 80, 10, 70, 30)
    say_try_get(queue)
    say_try_get(queue)
    await put_all(queue, 40, 10)
    get_all(queue)


@scenario()
async def priority_of_equal_ones():
    queue = asyncio.PriorityQueue(10)
    await put_all(queue, 21, 22, 23, 24, 11, 12)
    get_all(queue)


@scenario()
async def priority_waits_for_room():
    queue = asyncio.PriorityQueue(2)
    await put_all(queue, 20, 30)
    a = spawn(puts("a", 0, 1, 0, queue, Tens(50)))
    b = spawn(puts("b", 1, 1, 0, queue, Tens(10)))
    await sleep_for(5)
    await say_get("get", queue)
    await sleep_for(3)
    await say_get("get", queue)
    await sleep_for(3)
    get_all(queue)
    await a
    await b


@scenario()
async def priority_getters_in_order():
    queue = asyncio.PriorityQueue(2)
    a = spawn(gets("a", 0, 1, 0, queue))
    b = spawn(gets("b", 1, 1, 0, queue))
    await sleep_for(5)
    await say_put("put", queue, Tens(20))
    await sleep_for(5)
    await say_put("put", queue, Tens(10))
    await a
    await b


@scenario()
async def priority_items_at_once():
    queue = asyncio.PriorityQueue(2)
    a = spawn(gets("a", 0, 1, 0, queue))
    b = spawn(gets("b", 1, 2, 0, queue))
    await sleep_for(5)
    say_try_put(queue, Tens(20))
    say_try_put(queue, Tens(10))
    await a
    await b


@scenario()
async def priority_without_waiting():
    queue = asyncio.PriorityQueue(1)
    say_try_get(queue)
    say_try_put(queue, Tens(20))
    say_try_put(queue, Tens(10))
    say_sizes(queue)
    get_all(queue)
