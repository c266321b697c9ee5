# SPDX-License-Identifier: MIT
"""Blocking calls in an executor, and what other threads may do.

There are real threads here, so whatever could come in another order is held by a gate.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

from harness import *


class Call:
    def __init__(self, code, name=None, gate=None, begun=None):
        self.code, self.name, self.gate, self.begun = code, name, gate, begun
        self.loop = asyncio.get_running_loop()

    def __call__(self):
        if self.name:
            say(f"{self.name} runs")
        if self.begun:
            self.loop.call_soon_threadsafe(self.begun.set_result, None)
        if self.gate:
            self.gate.wait()
        return finish(self.code)


async def run(executor, call):
    return await ended(asyncio.get_running_loop().run_in_executor(executor, call))


async def caller(executor, call, calls=None):
    if calls:
        calls.set_result(None)
    outcome = await run(executor, call)
    say_end("call", outcome)
    leave_with(outcome)
    say_end("next", await ended(sleep_for(0)))
    return outcome


async def silent_caller(executor, call, calls=None):
    if calls:
        calls.set_result(None)
    return leave_with(await run(executor, call))


class Held:
    """An executor of one thread, which is held by a call until the gate opens."""

    def __init__(self):
        self.executor = ThreadPoolExecutor(1)
        self.gate = threading.Event()
        self.task = None

    async def begin(self):
        begun = new_future()
        self.task = spawn(silent_caller(self.executor, Call(1, gate=self.gate, begun=begun)))
        await begun
        say("the thread is held")

    def open(self):
        say("the gate opens")
        self.gate.set()

    async def end(self):
        say_end("held", await ended(self.task))
        self.executor.shutdown()

    async def queue(self, call, function):
        calls = new_future()
        task = spawn(function(self.executor, call, calls))
        await calls
        return task


@scenario(THREADS)
async def call_returns():
    say_end("call", await run(None, Call(7)))


@scenario(THREADS)
async def call_fails():
    say_end("call", await run(None, Call(-errno.EIO)))


@scenario(THREADS)
async def loop_goes_on_during_a_call():
    held = Held()
    await held.begin()
    call_soon(say, "callback")
    await sleep_for(1)
    held.open()
    await held.end()


@scenario(THREADS)
async def calls_of_one_thread_in_order():
    held = Held()
    await held.begin()
    tasks = [await held.queue(Call(code, name), silent_caller) for name, code in (("a", 2), ("b", 3), ("c", 4))]
    held.open()
    for outcome in await asyncio.gather(*tasks):
        say_end("call", outcome)
    await held.end()


@scenario(THREADS)
async def cancel_while_the_call_waits():
    held = Held()
    await held.begin()
    task = await held.queue(Call(2, "queued"), caller)
    ask_to_cancel("task", task)
    say_end("task", await ended(task))
    held.open()
    await held.end()


@scenario(THREADS)
async def limit_while_the_call_waits():
    held = Held()
    await held.begin()
    queued = asyncio.get_running_loop().run_in_executor(held.executor, Call(2, "queued"))
    say_end("call", await ended(asyncio.wait_for(queued, 0.001)))
    held.open()
    await held.end()


@scenario(THREADS)
async def cancel_while_the_call_runs():
    gate, begun = threading.Event(), new_future()
    task = spawn(caller(None, Call(7, gate=gate, begun=begun)))
    await begun
    ask_to_cancel("task", task)
    await sleep_for(1)
    say("the gate opens")
    gate.set()
    say_end("task", await ended(task))


@scenario(THREADS)
async def close_runs_what_waits():
    held = Held()
    await held.begin()
    task = await held.queue(Call(2, "queued"), silent_caller)
    held.open()
    held.executor.shutdown()
    say("closed")
    say_end("held", await ended(held.task))
    say_end("queued", await ended(task))


@scenario(THREADS)
async def close_refuses_what_waits():
    held = Held()
    await held.begin()
    task = await held.queue(Call(2, "queued"), caller)
    held.executor.shutdown(wait=False, cancel_futures=True)
    say_end("task", await ended(task))
    held.open()
    await held.end()


@scenario(THREADS)
async def call_of_a_closed_executor():
    held = Held()
    await held.begin()
    held.executor.shutdown(wait=False)
    say_end("call", await run_late(held.executor))
    held.open()
    await held.end()


async def run_late(executor):
    return tried(asyncio.get_running_loop().run_in_executor, executor, Call(2, "late"))


@scenario(THREADS)
async def future_set_by_a_thread():
    loop, future = asyncio.get_running_loop(), new_future()

    def sets_future():
        loop.call_soon_threadsafe(future.set_result, 5)
        return 0

    say_end("call", await run(None, sets_future))
    say_end("future", await ended(future))


@scenario(THREADS)
async def callbacks_asked_by_a_thread():
    loop = asyncio.get_running_loop()

    def calls_the_loop():
        for text in "abc":
            loop.call_soon_threadsafe(say, text)
        return 6

    outcome = await run(None, calls_the_loop)
    await sleep_for(1)
    say_end("call", outcome)
