# SPDX-License-Identifier: MIT
"""Tasks one after the other, as they end."""

from harness import *


def spawn_all(*coroutines):
    return [spawn(coroutine) for coroutine in coroutines]


async def take(coroutine):
    """The next one that ends: its result, or why there is none."""
    outcome = await ended(coroutine)
    say_end("next", outcome)
    return outcome


async def all_of(tasks):
    for coroutine in asyncio.as_completed(tasks):
        await take(coroutine)
    say("all")


async def end_all(tasks):
    for task in tasks:
        task.cancel()
        await ended(task)


@scenario()
async def completed_in_order():
    await all_of(spawn_all(sleeper("a", 3, 1), sleeper("b", 1, 2), sleeper("c", 2, 3)))


@scenario()
async def completed_with_failures():
    await all_of(spawn_all(sleeper("a", 3, 1), sleeper("b", 1, -errno.EIO), sleeper("c", 2, -errno.EPIPE)))


@scenario()
async def completed_and_cancelled():
    tasks = spawn_all(sleeper("a", 9, 1), sleeper("b", 3, 2))
    call_later(2, tasks[0].cancel)
    await all_of(tasks)


@scenario()
async def completed_of_none():
    await all_of([])


@scenario()
async def completed_while_nobody_waits():
    coroutines = asyncio.as_completed(spawn_all(sleeper("a", 3, 1), sleeper("b", 1, 2), sleeper("c", 7, 3)))
    first = next(coroutines)  # from here on it watches them
    await sleep_for(5)
    await take(first)
    for coroutine in coroutines:
        await take(coroutine)


@scenario()
async def completed_before():
    tasks = spawn_all(sleeper("a", 7, 1), sleeper("b", 1, 2))
    await sleep_for(5)
    await all_of(tasks)


@scenario()
async def completed_in_time():
    tasks = spawn_all(sleeper("a", 9, 1), sleeper("b", 1, 2), sleeper("c", 8, 3))
    for coroutine in asyncio.as_completed(tasks, timeout=0.005):
        await take(coroutine)
    await end_all(tasks)


@scenario()
async def completed_after_the_time():
    tasks = spawn_all(sleeper("a", 9, 1), sleeper("b", 7, 2))
    first, second = asyncio.as_completed(tasks, timeout=0.005)
    await take(first)
    await sleep_for(5)
    await take(second)
    await end_all(tasks)


@scenario()
async def completed_in_part():
    tasks = spawn_all(sleeper("a", 3, 1), sleeper("b", 1, 2))
    for coroutine in asyncio.as_completed(tasks):
        await take(coroutine)
        break
    say_end("a", await tasks[0])


@scenario()
async def completed_for_two():
    tasks = spawn_all(sleeper("a", 3, 1), sleeper("b", 1, 2))
    takers = spawn_all(*(take(coroutine) for coroutine in asyncio.as_completed(tasks)))
    for taker in takers:
        await taker


async def takes_all(tasks):
    for coroutine in asyncio.as_completed(tasks):
        await take(coroutine)
    say("all")


@scenario()
async def completed_cancelled_and_on():
    tasks = spawn_all(sleeper("a", 8, 1), sleeper("b", 9, 2))
    outer = spawn(takes_all(tasks))
    await sleep_for(5)
    ask_to_cancel("outer", outer)
    await outer
    await end_all(tasks)


@scenario()
async def completed_cancelled():
    async def takes_one():
        for coroutine in asyncio.as_completed(tasks):
            leave_with(await take(coroutine))

    tasks = spawn_all(sleeper("a", 8, 1))
    outer = spawn(takes_one())
    await sleep_for(5)
    ask_to_cancel("outer", outer)
    say_end("outer", await ended(outer))
    say(f"done: {tasks[0].done():d}")
    say_end("a", await tasks[0])


@scenario()
async def completed_one_twice():
    a = spawn(sleeper("a", 1, 4))
    await all_of([a, a])
