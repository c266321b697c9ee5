# SPDX-License-Identifier: MIT
"""Locks: who gets one next, and what a cancel leaves behind."""

from harness import *


async def holds(name, start, ms, limit, lock):
    await sleep_for(start)
    acquiring = lock.acquire()
    outcome = await ended(asyncio.wait_for(acquiring, limit / 1000) if limit else acquiring)
    if outcome is True:
        outcome = 0
    say_end(name, outcome)
    leave_with(outcome)
    await sleep_for(ms)
    lock.release()
    say(f"{name} lets go")


@scenario()
async def lock_in_order():
    lock = asyncio.Lock()
    a = spawn(holds("a", 0, 10, 0, lock))
    b = spawn(holds("b", 1, 10, 0, lock))
    c = spawn(holds("c", 2, 10, 0, lock))
    await a
    await b
    await c


@scenario()
async def lock_waiters_leave():
    lock = asyncio.Lock()
    a = spawn(holds("a", 0, 10, 0, lock))
    b = spawn(holds("b", 1, 10, 0, lock))
    c = spawn(holds("c", 2, 10, 4, lock))
    d = spawn(holds("d", 3, 10, 0, lock))
    await sleep_for(5)
    ask_to_cancel("b", b)
    say_end("b", await ended(b))
    await a
    await sleep_for(1)
    say_end("c", await ended(c))
    await d


@scenario()
async def lock_that_nobody_has():
    lock = asyncio.Lock()
    say(f"refused: {isinstance(tried(lock.release), RuntimeError):d}")
    await lock.acquire()
    lock.release()
    say(f"refused: {isinstance(tried(lock.release), RuntimeError):d}")


async def fails_inside(lock):
    async with lock:
        return finish(-errno.EIO)


@scenario()
async def lock_block_that_fails():
    lock = asyncio.Lock()
    say_end("block", await ended(spawn(fails_inside(lock))))
    await lock.acquire()
    say("free")
    lock.release()
