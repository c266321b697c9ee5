# SPDX-License-Identifier: MIT
"""Conditions: who is woken, in which order, what a cancel leaves behind, and that the lock is had again."""

from harness import *


async def waits(name, start, ms, limit, condition):
    await sleep_for(start)
    async with condition:
        outcome = await ended(within(limit, condition.wait()))
    if outcome is True:
        outcome = 0
        if ms:
            await sleep_for(ms)
    say_end(name, outcome)
    return leave_with(outcome)


async def notify(condition, n):
    async with condition:
        condition.notify(n)


@scenario()
async def condition_wakes_one_by_one():
    condition = asyncio.Condition()
    a = spawn(waits("a", 0, 1, 0, condition))
    b = spawn(waits("b", 1, 1, 0, condition))
    c = spawn(waits("c", 2, 1, 0, condition))
    await sleep_for(5)
    for _ in range(3):
        await notify(condition, 1)
        await sleep_for(3)
    await a
    await b
    await c


@scenario()
async def condition_wakes_some():
    condition = asyncio.Condition()
    a = spawn(waits("a", 0, 2, 0, condition))
    b = spawn(waits("b", 1, 1, 0, condition))
    c = spawn(waits("c", 2, 1, 0, condition))
    await sleep_for(5)
    await notify(condition, 2)
    await a
    await b
    await sleep_for(5)
    await notify(condition, 2)
    await c


@scenario()
async def condition_wakes_all():
    condition = asyncio.Condition()
    a = spawn(waits("a", 0, 3, 0, condition))
    b = spawn(waits("b", 1, 2, 0, condition))
    c = spawn(waits("c", 2, 1, 0, condition))
    await sleep_for(5)
    async with condition:
        condition.notify_all()
    await a
    await b
    await c


@scenario()
async def condition_wakes_nobody():
    condition = asyncio.Condition()
    await notify(condition, 1)
    a = spawn(waits("a", 1, 1, 5, condition))
    await sleep_for(2)
    await notify(condition, 0)
    say_end("a", await ended(a))


@scenario()
async def condition_waits_without_the_lock():
    condition = asyncio.Condition()
    say_end("wait", await ended(condition.wait()))
    await condition.acquire()
    say("free")
    condition.release()


async def keeps_lock(lock):
    async with lock:
        await sleep_for(5)


@scenario()
async def condition_waits_with_the_lock_of_another():
    lock = asyncio.Lock()
    condition = asyncio.Condition(lock)
    other = spawn(keeps_lock(lock))
    await sleep_for(1)
    say_end("wait", await ended(within(3, condition.wait())))
    say_end("other", await ended(other))


@scenario()
async def condition_notifies_without_the_lock():
    condition = asyncio.Condition()
    a = spawn(waits("a", 0, 1, 5, condition))
    await sleep_for(2)
    say_end("notified", tried(condition.notify, 1))
    say_end("a", await ended(a))


@scenario()
async def condition_gives_the_lock_up():
    condition = asyncio.Condition()
    a = spawn(waits("a", 0, 1, 0, condition))
    await sleep_for(2)
    await condition.acquire()
    say("locked")
    condition.notify(1)
    await sleep_for(5)
    say("unlocked")
    condition.release()
    await a


@scenario()
async def condition_waiter_cancelled():
    condition = asyncio.Condition()
    a = spawn(waits("a", 0, 1, 0, condition))
    b = spawn(waits("b", 1, 1, 0, condition))
    await sleep_for(2)
    ask_to_cancel("a", a)
    say_end("a", await ended(a))
    await notify(condition, 1)
    await b


@scenario()
async def condition_waiter_cancelled_between():
    condition = asyncio.Condition()
    a = spawn(waits("a", 0, 1, 0, condition))
    b = spawn(waits("b", 1, 1, 0, condition))
    c = spawn(waits("c", 2, 2, 0, condition))
    await sleep_for(5)
    ask_to_cancel("b", b)
    say_end("b", await ended(b))
    await notify(condition, 2)
    await a
    await c


@scenario()
async def condition_waiter_out_of_time():
    condition = asyncio.Condition()
    a = spawn(waits("a", 0, 1, 4, condition))
    b = spawn(waits("b", 1, 1, 0, condition))
    say_end("a", await ended(a))
    await notify(condition, 1)
    await b


@scenario()
async def condition_ends_with_the_lock():
    condition = asyncio.Condition()
    a = spawn(waits("a", 0, 1, 0, condition))
    b = spawn(waits("b", 1, 1, 6, condition))
    await sleep_for(2)
    await condition.acquire()
    await sleep_for(2)
    ask_to_cancel("a", a)
    await sleep_for(6)
    condition.release()
    await sleep_for(2)
    n = isinstance(await ended(a), CancelledError) + isinstance(await ended(b), TimeoutError)
    say(f"a and b: {n}")


@scenario()
async def condition_notified_then_cancelled():
    condition = asyncio.Condition()
    a = spawn(waits("a", 0, 0, 0, condition))
    await sleep_for(2)
    await notify(condition, 1)
    ask_to_cancel("a", a)
    say_end("a", await ended(a))


@scenario()
async def condition_notified_then_cancelled_locked():
    condition = asyncio.Condition()
    a = spawn(waits("a", 0, 0, 0, condition))
    await sleep_for(2)
    async with condition:
        condition.notify(1)
        await sleep_for(2)
        ask_to_cancel("a", a)
        await sleep_for(2)
    say_end("a", await ended(a))


@scenario()
async def condition_notified_then_out_of_time():
    condition = asyncio.Condition()
    a = spawn(waits("a", 0, 0, 5, condition))
    await sleep_for(2)
    async with condition:
        condition.notify(1)
        await sleep_for(6)
    say_end("a", await ended(a))


@scenario()
async def condition_two_with_one_lock():
    lock = asyncio.Lock()
    full = asyncio.Condition(lock)
    empty = asyncio.Condition(lock)
    a = spawn(waits("a", 0, 1, 0, full))
    b = spawn(waits("b", 1, 1, 0, empty))
    await sleep_for(2)
    await notify(empty, 1)
    await b
    await notify(full, 1)
    await a


# ---- wait_for


class Counted:
    def __init__(self, value=0, limit=0):
        self.condition = asyncio.Condition()
        self.value = value  # waited for until it is 3
        self.limit = limit

    def is_three(self):
        say(f"asked: {self.value}")
        return self.value == 3


async def waits_for_three(counted):
    async with counted.condition:
        outcome = await ended(within(counted.limit, counted.condition.wait_for(counted.is_three)))
    return leave_with(0 if outcome is True else outcome)


async def count_to(counted, value):
    async with counted.condition:
        counted.value = value
        counted.condition.notify_all()


@scenario()
async def wait_for_what_is_true():
    say_end("wait", await ended(waits_for_three(Counted(3))))


@scenario()
async def wait_for_what_becomes_true():
    counted = Counted()
    task = spawn(waits_for_three(counted))
    for i in range(1, 4):
        await sleep_for(2)
        await count_to(counted, i)
    say_end("wait", await ended(task))


@scenario()
async def wait_for_what_was_true():
    counted = Counted()
    task = spawn(waits_for_three(counted))
    await sleep_for(2)
    await count_to(counted, 3)
    counted.value = 4
    await sleep_for(2)
    await count_to(counted, 3)
    say_end("wait", await ended(task))


@scenario()
async def wait_for_it_cancelled():
    counted = Counted()
    task = spawn(waits_for_three(counted))
    await sleep_for(2)
    await count_to(counted, 1)
    await sleep_for(2)
    task.cancel()
    await sleep_for(1)
    say_end("wait", await ended(task))
    await counted.condition.acquire()
    say("free")
    counted.condition.release()


@scenario()
async def wait_for_it_out_of_time():
    counted = Counted(limit=5)
    task = spawn(waits_for_three(counted))
    await sleep_for(2)
    counted.value = 3  # and nobody is told
    say_end("wait", await ended(task))
