# SPDX-License-Identifier: MIT
"""A loop as an object, from a plain thread: run, stop, close."""

import threading
import time

from harness import *


def run(loop, coroutine):
    say_end("run", tried(loop.run_until_complete, coroutine))
    coroutine.close()  # if it was refused


def run_forever(loop):
    say_end("run forever", tried(loop.run_forever))


def say_state(loop):
    say(f"running {loop.is_running():d}, closed {loop.is_closed():d}")


@scenario(OUTSIDE)
def run_returns_the_result():
    loop = new_loop()
    run(loop, sleeper("a", 1, 7))
    run(loop, sleeper("b", 1, -errno.EIO))
    run(loop, sleeper("c", 1, 8))
    loop.close()


async def awaits_the_future(future):
    outcome = await ended(future)
    say_end("task", outcome)
    return leave_with(outcome)


async def ends_the_task(future, task):
    say("second run")
    future.set_result(5)
    return await task


@scenario(OUTSIDE)
def task_outlives_its_run():
    async def leaves_a_task():
        tasks.append(spawn(awaits_the_future(future)))
        return 3

    loop = new_loop()
    future = loop.create_future()
    tasks = []
    run(loop, leaves_a_task())
    run(loop, ends_the_task(future, tasks[0]))
    loop.close()


@scenario(OUTSIDE)
def state_of_a_runtime():
    async def says_state():
        say_state(loop)

    loop = new_loop()
    say_state(loop)
    run(loop, says_state())
    say_state(loop)
    loop.close()
    say_state(loop)


@scenario(OUTSIDE)
def used_after_close():
    loop = new_loop()
    loop.close()
    run(loop, say_task("never"))
    run_forever(loop)
    never = say_task("never")
    say_end("task", tried(loop.create_task, never))
    never.close()
    say_end("callback", tried(loop.call_soon_threadsafe, say, "never"))


@scenario(OUTSIDE)
def closed_twice():
    loop = new_loop()
    run(loop, say_task("main"))
    say_end("close", tried(loop.close))
    say_end("close", tried(loop.close))


@scenario(OUTSIDE)
def closed_without_a_run():
    say_end("close", tried(new_loop().close))


@scenario(OUTSIDE)
def stop_of_a_closed_one():
    loop = new_loop()
    loop.close()
    say_end("stop", tried(loop.stop))


@scenario(OUTSIDE)
def stop_before_the_run():
    loop = new_loop()
    loop.stop()
    run_forever(loop)
    loop.stop()
    loop.stop()
    run_forever(loop)
    say_state(loop)
    loop.close()


def asks_for_one_more(text):
    say(text)
    call_soon(say, "c")


@scenario(OUTSIDE)
def stop_and_what_is_ready():
    loop = new_loop()
    loop.call_soon(asks_for_one_more, "a")
    loop.call_soon(say, "b")
    loop.stop()
    run_forever(loop)
    loop.stop()
    run_forever(loop)
    loop.close()


@scenario(OUTSIDE)
def callback_before_the_run():
    loop = new_loop()
    loop.call_soon(say, "callback")
    say("asked")
    run(loop, say_task("main"))
    loop.close()


@scenario(OUTSIDE)
def asked_for_before_the_run():
    async def awaits_both():
        say_end("task", await ended(task))
        return await future

    async def returns_four():
        return 4

    loop = new_loop()
    future = loop.create_future()
    task = loop.create_task(returns_four())
    loop.call_soon(future.set_result, 5)
    run(loop, awaits_both())
    loop.close()


@scenario(OUTSIDE)
def stopped_by_a_task():
    async def stops_and_goes_on():
        say("task stops")
        loop.stop()
        return await awaits_the_future(future)

    loop = new_loop()
    future = loop.create_future()
    task = loop.create_task(stops_and_goes_on())
    run_forever(loop)
    run(loop, ends_the_task(future, task))
    loop.close()


@scenario(OUTSIDE)
def stopped_by_a_callback():
    def stops():
        say("callback stops")
        loop.stop()

    loop = new_loop()
    loop.call_soon(stops)
    run_forever(loop)
    loop.close()


def run_beside(loop, function):
    """Run forever, beside a thread."""
    thread = threading.Thread(target=function)
    thread.start()
    run_forever(loop)
    thread.join()


@scenario(OUTSIDE)
def stopped_by_a_thread():
    def stops():
        say("thread stops")
        loop.call_soon_threadsafe(loop.stop)

    loop = new_loop()
    run_beside(loop, stops)
    loop.close()


@scenario(OUTSIDE)
def stop_in_run_until_complete():
    async def stops_its_own_run():
        loop.stop()
        await asyncio.sleep(0)
        say("main goes on")
        return 2

    loop = new_loop()
    main = loop.create_task(stops_its_own_run())
    say_end("run", tried(loop.run_until_complete, main))
    run(loop, say_task("second run"))
    loop.close()


@scenario(OUTSIDE)
def run_forever_in_a_task():
    async def runs_forever_inside():
        run_forever(loop)

    loop = new_loop()
    run(loop, runs_forever_inside())
    loop.close()


@scenario(OUTSIDE)
def run_until_complete_in_a_task():
    async def runs_inside():
        run(loop, say_task("inside"))

    loop = new_loop()
    run(loop, runs_inside())
    loop.close()


@scenario(OUTSIDE)
def close_in_a_task():
    async def closes_inside():
        say_end("close", tried(loop.close))

    loop = new_loop()
    run(loop, closes_inside())
    say_state(loop)
    loop.close()


@scenario(OUTSIDE)
def close_while_it_runs():
    def closes():
        while not loop.is_running():
            time.sleep(0.0001)
        say(f"close: {'refused' if tried(loop.close) else 'done'}")
        loop.call_soon_threadsafe(loop.stop)

    loop = new_loop()
    run_beside(loop, closes)
    say_state(loop)
    loop.close()


@scenario(OUTSIDE)
def task_left_at_close():
    async def begins_and_sleeps():
        begun.set_result(None)
        await sleeper("left", 100000)

    async def leaves_a_sleeper():
        spawn(begins_and_sleeps())
        await begun

    loop = new_loop()
    begun = loop.create_future()
    run(loop, leaves_a_sleeper())
    say_end("close", tried(loop.close))


@scenario(OUTSIDE)
def timer_left_at_close():
    async def leaves_a_timer():
        call_later(100000, say, "never")

    loop = new_loop()
    run(loop, leaves_a_timer())
    say_end("close", tried(loop.close))


@scenario(OUTSIDE)
def submitted_by_a_thread():
    def submits():
        for name, code in ("a", 7), ("b", -errno.EIO):
            say_end("thread", tried(asyncio.run_coroutine_threadsafe(sleeper(name, 1, code), loop).result))
        loop.call_soon_threadsafe(loop.stop)

    loop = new_loop()
    run_beside(loop, submits)
    loop.close()


@scenario(OUTSIDE)
def cancelled_by_a_thread():
    async def begins_and_sleeps():
        begun.set()
        try:
            await sleeper("a", 100000)
        finally:
            has_ended.set()

    def cancels():
        future = asyncio.run_coroutine_threadsafe(begins_and_sleeps(), loop)
        begun.wait()
        say_end("thread", tried(future.result, 0.001))
        future.cancel()
        has_ended.wait()
        say_end("thread", tried(future.result))
        loop.call_soon_threadsafe(loop.stop)

    begun, has_ended = threading.Event(), threading.Event()
    loop = new_loop()
    run_beside(loop, cancels)
    loop.close()


@scenario(OUTSIDE)
def nothing_outside():
    def is_there(getter):
        return "none" if isinstance(tried(getter), RuntimeError) else "some"

    say(f"loop: {is_there(asyncio.get_running_loop)}")
    say(f"task: {is_there(asyncio.current_task)}")
    say_end("callback", tried(call_soon, say, "never"))
    never = say_task("never")
    say_end("spawn", tried(spawn, never))
    never.close()


@scenario(OUTSIDE)
def future_of_another_loop():
    async def sets_it_later():
        await sleep_for(1)
        future.set_result(5)

    other, loop = new_loop(), new_loop()
    future = other.create_future()
    task = other.create_task(sets_it_later())
    run(loop, awaits_the_future(future))
    say_end("set", tried(other.run_until_complete, task))
    loop.close()
    other.close()
