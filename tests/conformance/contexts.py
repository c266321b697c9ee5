# SPDX-License-Identifier: MIT
"""Values that belong to a task, to what it spawns, and to the callbacks that it asks for."""

from contextvars import ContextVar, copy_context

from harness import *

number = ContextVar("number", default=0)
other = ContextVar("other", default=0)


def say_number(who):
    say(f"{who}: {number.get()}")


def reset(token):
    say_end("reset", tried(number.reset, token))


async def child():
    say_number("child")
    number.set(7)
    await sleep_for(2)
    say_number("child")


@scenario()
async def value_of_nobody():
    say_number("main")
    await spawn(child())
    say_number("main")


@scenario()
async def value_of_the_moment_of_the_spawn():
    number.set(1)
    task = spawn(child())
    number.set(2)
    await sleep_for(1)
    say_number("main")
    await task
    say_number("main")


async def says_number(name):
    say_number(name)


async def spawns_in_turn():
    number.set(2)
    await spawn(says_number("grandchild"))


@scenario()
async def value_of_a_grandchild():
    number.set(1)
    other.set(5)
    await spawn(spawns_in_turn())
    say_number("main")
    say(f"other: {other.get()}")


async def counts_up(name, ms, first):
    number.set(first)
    for _ in range(3):
        await sleep_for(ms)
        number.set(number.get() + 1)
        say_number(name)


@scenario()
async def values_of_two_tasks():
    a, b = spawn(counts_up("a", 3, 10)), spawn(counts_up("b", 4, 20))
    await a
    await b
    say_number("main")


@scenario()
async def value_of_whoever_spawns_into_a_group():
    async def spawns_into_the_group():
        number.set(2)
        group.create_task(says_number("of the task"))

    number.set(1)
    async with asyncio.TaskGroup() as group:
        group.create_task(spawns_into_the_group())
        await sleep_for(1)
        group.create_task(says_number("of the block"))
    say_end("group", 0)


@scenario()
async def value_taken_back():
    first = number.set(1)
    second = number.set(2)
    say_number("main")
    number.reset(second)
    say_number("main")
    number.reset(first)
    say_number("main")


@scenario()
async def value_taken_back_in_another_order():
    first = number.set(1)
    second = number.set(2)
    number.set(3)
    number.reset(first)
    say_number("main")
    number.reset(second)
    say_number("main")


@scenario()
async def value_taken_back_twice():
    token = number.set(1)
    reset(token)
    number.set(2)
    reset(token)
    say_number("main")


async def takes_back(token):
    reset(token)
    say_number("child")


@scenario()
async def value_taken_back_by_another_task():
    token = number.set(1)
    await spawn(takes_back(token))
    say_number("main")
    reset(token)
    say_number("main")


@scenario()
async def value_taken_back_and_inherited():
    token = number.set(1)
    before = spawn(says_number("before"))
    number.reset(token)
    await before
    await spawn(says_number("after"))


def changes():
    say_number("inside")
    number.set(number.get() + 1)
    return number.get()


@scenario()
async def context_keeps_what_is_set():
    number.set(1)
    context = copy_context()
    number.set(10)
    say_end("run", context.run(changes))
    say_end("run", context.run(changes))
    say_number("main")


@scenario()
async def context_entered_twice():
    def runs_again():
        say_end("again", tried(context.run, changes))
        return 5

    context = copy_context()
    say_end("run", context.run(runs_again))
    say_end("run", context.run(changes))


@scenario()
async def context_is_inherited():
    number.set(1)
    context = copy_context()
    number.set(10)
    task = context.run(spawn, says_number("spawned inside"))
    say_end("run", 0)
    await task


@scenario()
async def context_of_another_token():
    token = number.set(1)
    copy_context().run(reset, token)
    say_number("main")
    reset(token)
    say_number("main")


@scenario()
async def value_of_a_callback():
    number.set(1)
    call_soon(say_number, "soon")
    number.set(2)
    call_later(2, say_number, "later")
    number.set(3)
    await sleep_for(3)
    say_number("main")


def callback_sets(name):
    number.set(number.get() + 10)
    say_number(name)


@scenario()
async def value_set_by_a_callback():
    number.set(1)
    call_soon(callback_sets, "a")
    call_soon(callback_sets, "b")
    await sleep_for(1)
    say_number("main")


@scenario()
async def value_of_a_callback_of_a_callback():
    def callback_asks_for_another(name):
        callback_sets(name)
        call_soon(say_number, "asked by a callback")
        number.set(0)

    number.set(1)
    call_soon(callback_asks_for_another, "callback")
    await sleep_for(1)


@scenario()
async def value_of_a_task_of_a_callback():
    def callback_spawns():
        callback_sets("callback")
        tasks.append(spawn(says_number("task")))

    number.set(1)
    tasks = []
    call_soon(callback_spawns)
    await sleep_for(1)
    await tasks[0]


@scenario()
async def value_of_a_done_callback():
    def callback_sets_future():
        number.set(7)
        set_value(future, 5)

    future = new_future()
    number.set(1)
    future.add_done_callback(lambda future: say_number("first"))
    number.set(2)
    future.add_done_callback(lambda future: say_number("second"))
    call_later(1, callback_sets_future)
    await sleep_for(2)
    say_number("main")


@scenario()
async def value_of_a_done_callback_asked_late():
    future = new_future()
    number.set(1)
    set_value(future, 5)
    number.set(2)
    future.add_done_callback(lambda future: say_number("callback"))
    number.set(3)
    await sleep_for(1)


@scenario()
async def value_of_a_done_callback_of_a_task():
    task = spawn(child())
    number.set(1)
    task.add_done_callback(lambda task: say_number("callback"))
    await sleep_for(5)
    await task


@scenario()
async def callbacks_in_one_context():
    loop = asyncio.get_running_loop()
    number.set(1)
    context = copy_context()
    number.set(10)
    loop.call_soon(changes, context=context)
    loop.call_later(0.002, changes, context=context)
    await sleep_for(3)
    say_end("run", context.run(changes))
    say_number("main")


@scenario()
async def value_taken_back_by_a_callback():
    def callback_takes_back():
        reset(token)
        say_number("callback")

    token = number.set(1)
    call_soon(callback_takes_back)
    await sleep_for(1)
    number.reset(token)
    say_number("main")


def thread_says():
    say_number("thread")
    number.set(9)
    return number.get()


@scenario(THREADS)
async def value_of_a_call_in_a_thread():
    number.set(1)
    say_end("call", await asyncio.to_thread(thread_says))
    say_number("main")


@scenario(THREADS)
async def value_of_a_callback_of_a_thread():
    def thread_calls_the_loop():
        say_number("thread")
        number.set(9)
        loop.call_soon_threadsafe(say_number, "callback")

    number.set(1)
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(thread_calls_the_loop)
    await sleep_for(1)
    say_number("main")


@scenario(THREADS)
async def value_of_a_call_in_an_executor():
    number.set(1)
    say_end("call", await asyncio.get_running_loop().run_in_executor(None, thread_says))
