# SPDX-License-Identifier: MIT
"""Callbacks of the end of a task; those of futures are in futures.py."""

from harness import *


def text(what):
    """A callback that says it."""
    return lambda task: say(what)


def says_result(task):
    say_end("callback", tried(task.result))


async def end_after(task, ms):
    await sleep_for(ms)
    say_end("task", await ended(task))


@scenario()
async def task_done_in_order():
    task = spawn(sleeper("task", 2, 3))
    for name in "abc":
        task.add_done_callback(text(name))
    await end_after(task, 5)


@scenario()
async def task_done_removed():
    task = spawn(sleeper("task", 2, 3))
    callbacks = [text(name) for name in "abc"]
    for callback in callbacks:
        task.add_done_callback(callback)
    await sleep_for(1)
    say(f"removed: {task.remove_done_callback(callbacks[1])}")
    say(f"removed: {task.remove_done_callback(callbacks[1])}")
    await sleep_for(5)
    say(f"removed: {task.remove_done_callback(callbacks[0])}")
    await end_after(task, 1)


@scenario()
async def task_done_asked_late():
    task = spawn(sleeper("task", 2, 3))
    await sleep_for(5)
    task.add_done_callback(says_result)
    say("asked")
    await end_after(task, 1)


@scenario()
async def task_done_asks_for_another():
    def asks_for_another(task):
        say("a")
        task.add_done_callback(text("asked by a"))

    task = spawn(sleeper("task", 2, 3))
    task.add_done_callback(asks_for_another)
    task.add_done_callback(text("b"))
    await end_after(task, 5)


@scenario()
async def task_done_removes_the_next():
    def removes_the_second(task):
        say("a")
        say(f"removed: {task.remove_done_callback(second)}")

    task = spawn(sleeper("task", 2, 3))
    second = text("b")
    task.add_done_callback(removes_the_second)
    task.add_done_callback(second)
    await end_after(task, 5)


@scenario()
async def task_done_sees_the_failure():
    spawn(sleeper("task", 2, -errno.EIO)).add_done_callback(says_result)
    await sleep_for(5)


@scenario()
async def task_done_does_not_look():
    spawn(sleeper("task", 2, -errno.EIO)).add_done_callback(text("callback"))
    await sleep_for(5)


@scenario()
async def task_done_of_a_cancelled():
    task = spawn(sleeper("task", 9, cleanup=2))
    task.add_done_callback(says_result)
    await sleep_for(1)
    ask_to_cancel("task", task)
    await end_after(task, 5)


@scenario()
async def task_done_of_one_that_never_began():
    task = spawn(sleeper("task", 9))
    task.add_done_callback(says_result)
    ask_to_cancel("task", task)
    await end_after(task, 5)


@scenario()
async def task_done_twice_the_same():
    task = spawn(sleeper("task", 2, 3))
    callback = text("a")
    task.add_done_callback(callback)
    task.add_done_callback(callback)
    await end_after(task, 5)


@scenario()
async def task_done_cancels_another():
    task, other = spawn(sleeper("task", 2, 3)), spawn(sleeper("other", 9))
    task.add_done_callback(lambda task: other.cancel())
    say_end("other", await ended(other))
    await end_after(task, 1)


@scenario()
async def task_done_begins_the_next():
    def begins_the_next(task=None):
        if len(tasks) == 3:
            return
        tasks.append(spawn(sleeper("abc"[len(tasks)], 1)))
        tasks[-1].add_done_callback(begins_the_next)

    tasks = []
    begins_the_next()
    await sleep_for(9)
    for task in tasks:
        await task
    say(f"{len(tasks)} tasks")


@scenario()
async def task_done_runs_outside_of_it():
    task = spawn(sleeper("task", 2, 3))
    task.add_done_callback(lambda task: say(f"task: {'some' if asyncio.current_task() else 'none'}"))
    await end_after(task, 5)


@scenario()
async def task_done_at_the_end():
    spawn(sleeper("left", 100)).add_done_callback(text("callback"))
    await sleep_for(5)
    say("main ends")


@scenario()
async def future_done_at_the_end():
    new_future().add_done_callback(text("callback"))
    await sleep_for(5)
    say("main ends")
