# SPDX-License-Identifier: MIT
"""Events, semaphores and barriers: who goes on, in which order, and what a cancel leaves behind."""

from harness import *


def in_time(awaitable, limit):
    return asyncio.wait_for(awaitable, limit / 1000) if limit else awaitable


async def waits_for_event(name, start, ms, limit, event):
    await sleep_for(start)
    outcome = await ended(in_time(event.wait(), limit))
    if outcome is True:
        outcome = 0
        await sleep_for(ms)
    say_end(name, outcome)
    return leave_with(outcome)


@scenario()
async def event_wakes_all():
    event = asyncio.Event()
    a = spawn(waits_for_event("a", 1, 1, 0, event))
    b = spawn(waits_for_event("b", 2, 2, 0, event))
    await sleep_for(5)
    say(f"set: {event.is_set():d}")
    event.set()
    say(f"set: {event.is_set():d}")
    await a
    await b
    await event.wait()
    say("at once")


@scenario()
async def event_cleared_at_once():
    event = asyncio.Event()
    a = spawn(waits_for_event("a", 0, 1, 0, event))
    b = spawn(waits_for_event("b", 3, 1, 5, event))
    await sleep_for(2)
    event.set()
    event.clear()
    await a
    say_end("b", await ended(b))


@scenario()
async def event_waiter_cancelled():
    event = asyncio.Event()
    a = spawn(waits_for_event("a", 0, 1, 0, event))
    b = spawn(waits_for_event("b", 0, 1, 0, event))
    await sleep_for(2)
    ask_to_cancel("a", a)
    say_end("a", await ended(a))
    event.set()
    await b


async def visits(name, start, ms, limit, semaphore):
    await sleep_for(start)
    outcome = await ended(in_time(semaphore.acquire(), limit))
    if outcome is True:
        outcome = 0
    say_end(name, outcome)
    leave_with(outcome)
    await sleep_for(ms)
    semaphore.release()
    say(f"{name} is out")


@scenario()
async def semaphore_in_order():
    semaphore = asyncio.Semaphore(1)
    a = spawn(visits("a", 0, 10, 0, semaphore))
    b = spawn(visits("b", 1, 10, 0, semaphore))
    c = spawn(visits("c", 2, 10, 0, semaphore))
    await a
    await b
    await c
    say(f"full: {semaphore.locked():d}")


@scenario()
async def semaphore_two_inside():
    semaphore = asyncio.Semaphore(2)
    a = spawn(visits("a", 0, 10, 0, semaphore))
    b = spawn(visits("b", 1, 12, 0, semaphore))
    c = spawn(visits("c", 2, 10, 0, semaphore))
    d = spawn(visits("d", 3, 10, 0, semaphore))
    await sleep_for(5)
    say(f"full: {semaphore.locked():d}")
    await a
    await b
    await c
    await d


@scenario()
async def semaphore_waiter_leaves():
    semaphore = asyncio.Semaphore(1)
    a = spawn(visits("a", 0, 10, 0, semaphore))
    b = spawn(visits("b", 1, 10, 0, semaphore))
    c = spawn(visits("c", 2, 10, 4, semaphore))
    d = spawn(visits("d", 3, 10, 0, semaphore))
    await sleep_for(5)
    ask_to_cancel("b", b)
    say_end("b", await ended(b))
    await a
    await sleep_for(1)
    say_end("c", await ended(c))
    await d


@scenario()
async def semaphore_released_too_often():
    bounded = asyncio.BoundedSemaphore(1)
    plain = asyncio.Semaphore(1)
    say(f"refused: {isinstance(tried(bounded.release), ValueError):d}")
    await bounded.acquire()
    say(f"refused: {isinstance(tried(bounded.release), ValueError):d}")
    say(f"refused: {isinstance(tried(plain.release), ValueError):d}")
    await plain.acquire()
    await plain.acquire()
    say(f"full: {plain.locked():d}")


async def arrives(name, start, ms, limit, barrier):
    await sleep_for(start)
    outcome = await ended(in_time(barrier.wait(), limit))
    if isinstance(outcome, int):
        await sleep_for(ms)
    say_end(name, outcome)
    return leave_with(outcome)


def say_barrier(barrier):
    say(f"waiting: {barrier.n_waiting}, broken: {barrier.broken:d}")


@scenario()
async def barrier_passed_twice():
    barrier = asyncio.Barrier(3)
    for _ in range(2):
        a = spawn(arrives("a", 3, 3, 0, barrier))
        b = spawn(arrives("b", 1, 1, 0, barrier))
        c = spawn(arrives("c", 2, 2, 0, barrier))
        await sleep_for(2)
        await b
        say_barrier(barrier)
        await c
        await a


@scenario()
async def barrier_party_leaves():
    barrier = asyncio.Barrier(2)
    a = spawn(arrives("a", 0, 1, 0, barrier))
    await sleep_for(1)
    say_barrier(barrier)
    ask_to_cancel("a", a)
    say_end("a", await ended(a))
    say_barrier(barrier)
    b = spawn(arrives("b", 0, 1, 3, barrier))
    say_end("b", await ended(b))
    say_barrier(barrier)
    b = spawn(arrives("b", 0, 1, 0, barrier))
    c = spawn(arrives("c", 2, 2, 0, barrier))
    await b
    await c


@scenario()
async def barrier_aborted():
    barrier = asyncio.Barrier(2)
    a = spawn(arrives("a", 0, 1, 0, barrier))
    await sleep_for(2)
    await barrier.abort()
    say_end("a", await ended(a))
    say_barrier(barrier)
    say_end("wait", await ended(barrier.wait()))
    await barrier.reset()
    say_barrier(barrier)


@scenario()
async def barrier_reset_while_waited_for():
    barrier = asyncio.Barrier(3)
    a = spawn(arrives("a", 0, 1, 0, barrier))
    await sleep_for(2)
    await barrier.reset()
    say_end("a", await ended(a))
    say_barrier(barrier)
    say(f"parties: {barrier.parties}")
