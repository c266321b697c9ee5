# SPDX-License-Identifier: MIT
"""Callbacks of a loop: their order, their handles, what they may do."""

from harness import *


@scenario()
async def call_soon_in_order():
    call_soon(say, "a")
    call_soon(say, "b")
    call_soon(say, "c")
    say("asked")
    await sleep_for(1)


def asks_for_another(text):
    say(text)
    call_soon(say, "asked by a callback")


@scenario()
async def call_soon_from_a_callback():
    call_soon(asks_for_another, "a")
    call_soon(say, "b")
    await sleep_for(1)


@scenario()
async def call_soon_cancelled():
    call_soon(say, "a")
    b = call_soon(say, "b")
    call_soon(say, "c")
    b.cancel()
    await sleep_for(1)


def cancels_handle(handles):
    say("a cancels b")
    handles[0].cancel()


@scenario()
async def callback_cancels_the_next():
    b = []
    call_soon(cancels_handle, b)
    b.append(call_soon(say, "b"))
    call_soon(say, "c")
    await sleep_for(1)


@scenario()
async def call_later_by_time():
    call_later(3, say, "a")
    call_later(1, say, "b")
    call_later(2, say, "c")
    say("asked")
    await sleep_for(4)


async def calls_at(when, texts):
    for text in texts:
        asyncio.get_running_loop().call_at(when, say, text)
    await sleep_for(6)


@scenario()
async def call_at_one_time():
    await calls_at(after(5), "ab")


@scenario()
async def call_at_one_time_many():
    await calls_at(after(5), "abcdef")


@scenario()
async def call_at_in_the_past():
    await sleep_for(10)
    asyncio.get_running_loop().call_at(after(-5), say, "late")
    say("asked")
    await sleep_for(1)


@scenario()
async def call_later_cancelled():
    a = call_later(3, say, "a")
    call_later(4, say, "b")
    await sleep_for(1)
    a.cancel()
    await sleep_for(5)


def says_cancelled(what, handle):
    say(f"{what}: cancelled {handle.cancelled():d}")


@scenario()
async def handles_tell():
    when = after(3)
    a = asyncio.get_running_loop().call_at(when, say, "a")
    b = asyncio.get_running_loop().call_at(when, say, "b")
    say(f"when: {a.when() == when:d}")
    says_cancelled("a", a)
    b.cancel()
    says_cancelled("b", b)
    await sleep_for(4)
    says_cancelled("a", a)
    say(f"when: {a.when() == when:d}")


@scenario()
async def timer_cancels_one_of_its_time():
    loop = asyncio.get_running_loop()
    when = after(2)
    b = []
    loop.call_at(when, cancels_handle, b)
    b.append(loop.call_at(when, say, "b"))
    await sleep_for(3)


def timer_again(left):
    say(f"{left - 1} left")
    if left > 1:
        call_later(2, timer_again, left - 1)


@scenario()
async def timer_asks_for_itself():
    call_later(2, timer_again, 3)
    await sleep_for(7)


def spawns(tasks):
    tasks.append(spawn(say_task("task")))
    say("spawned")


@scenario()
async def callback_spawns_a_task():
    tasks = []
    call_soon(spawns, tasks)
    await sleep_for(1)
    say_end("task", await ended(tasks[0]))


@scenario()
async def callback_sets_a_future():
    future = new_future()
    call_later(2, set_value, future, 5)
    say_end("future", await ended(future))


def has_no_task():
    say(f"task: {'some' if asyncio.current_task() else 'none'}")


@scenario()
async def callback_is_in_no_task():
    call_soon(has_no_task)
    await sleep_for(1)


def runs_a_loop():
    never = say_task("never")
    say_end("run", tried(asyncio.run, never))
    never.close()


@scenario()
async def callback_may_not_run_a_loop():
    call_soon(runs_a_loop)
    await sleep_for(1)


@scenario()
async def calls_left_at_the_end():
    call_later(10, say, "never")
    await sleep_for(1)
    say("the end")
