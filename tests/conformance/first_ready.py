# SPDX-License-Identifier: MIT
"""The first of several things that are ready; asyncio has one kind of them, and gives no positions."""

from harness import *


async def select(*cases, timeout=None):
    """What hilo_select does: the position of the first one that is ready."""
    outcome = await ended(asyncio.wait(cases, return_when=asyncio.FIRST_COMPLETED, timeout=timeout))
    if not isinstance(outcome, BaseException):
        done, _ = outcome
        outcome = min((cases.index(case) for case in done), default=TimeoutError())
    say_end("select", outcome)
    return leave_with(outcome)


async def end_it(task):
    task.cancel()
    say_end("end", await ended(task))


def timer(ms):
    future = new_future()
    call_later(ms, future.set_result, None)
    return future


@scenario()
async def select_a_task():
    a, b = spawn(sleeper("a", 3, 4)), spawn(sleeper("b", 1, 5))
    await select(a, b)
    await end_it(b)
    await select(a)
    await end_it(a)


@scenario()
async def select_a_future():
    a, future = spawn(sleeper("a", 8)), new_future()
    call_later(2, set_value, future, 5)
    await select(a, future)
    say_end("future", future.result())
    await end_it(a)


@scenario()
async def select_a_time():
    a = spawn(sleeper("a", 8))
    await select(a, timer(3), timer(2))
    await end_it(a)


@scenario()
async def select_what_has_ended():
    a, b, c = spawn(sleeper("a", 9)), spawn(sleeper("b", 2, 5)), spawn(sleeper("c", 1, 6))
    await sleep_for(5)
    await select(a, b, c)
    await select(c, b, a)
    for task in a, b, c:
        await end_it(task)


@scenario()
async def select_a_failure():
    a, b = spawn(sleeper("a", 1, -errno.EIO)), spawn(sleeper("b", 9))
    await select(a, b)
    await end_it(a)
    await end_it(b)


@scenario()
async def select_reads_no_failure():
    await select(spawn(sleeper("a", 1, -errno.EIO)))


@scenario()
async def select_a_cancelled_one():
    a, future = spawn(sleeper("a", 9)), new_future()
    call_later(2, a.cancel)
    await select(future, a)
    future.cancel()
    await select(future, a)
    await end_it(a)
    say_end("future", tried(future.result))


@scenario()
async def select_cancels_nothing():
    a, b = spawn(sleeper("a", 1, 4)), spawn(sleeper("b", 3, 5))
    await select(a, b)
    say_end("a", await a)
    say_end("b", await b)


@scenario()
async def select_in_time():
    a, future = spawn(sleeper("a", 7, 4)), new_future()
    await ended(select(future, a, timeout=0.005))
    say(f"done: {future.done():d}")
    await select(future, a, timeout=0.005)
    await end_it(a)


@scenario()
async def select_no_time():
    a, future = spawn(sleeper("a", 2, 4)), new_future()
    await ended(select(future, a, timeout=0))
    await sleep_for(3)
    await select(future, a, timeout=0)
    await end_it(a)


@scenario()
async def select_of_nothing():
    await ended(select())


@scenario()
async def select_one_twice():
    future = new_future()
    call_later(2, set_value, future, 5)
    await select(future, future)


@scenario()
async def select_by_two():
    future = new_future()
    a, b = spawn(select(future)), spawn(select(future))
    call_later(2, set_value, future, 5)
    await a
    await b


@scenario()
async def select_cancelled():
    future = new_future()
    task = spawn(select(future))
    await sleep_for(2)
    ask_to_cancel("task", task)
    say_end("task", await ended(task))
    set_value(future, 3)


@scenario()
async def select_with_a_request_set():
    async def cancels_itself_and_selects():
        ask_to_cancel("myself", asyncio.current_task())
        return await select(future)

    future = new_future()
    set_value(future, 3)
    say_end("task", await ended(spawn(cancels_itself_and_selects())))


@scenario()
async def select_ready_then_cancelled():
    future = new_future()
    task = spawn(select(future))
    await sleep_for(1)
    set_value(future, 3)
    ask_to_cancel("task", task)
    say_end("task", await ended(task))


@scenario()
async def select_oneself():
    async def selects_itself():
        return await select(asyncio.current_task(), timeout=0.005)

    say_end("task", await ended(spawn(selects_itself())))
