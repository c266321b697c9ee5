# SPDX-License-Identifier: MIT
"""Tasks: when they run, what they return, who may await them, what is left of them at the end."""

from harness import *


@scenario()
async def spawn_is_later():
    task = spawn(say_task("task"))
    say("spawned")
    say_end("task", await ended(task))


@scenario()
async def result_and_failure():
    good = spawn(sleeper("good", 1, 7))
    bad = spawn(sleeper("bad", 2, -errno.EIO))
    say_end("good", await ended(good))
    say_end("bad", await ended(bad))


@scenario()
async def await_what_has_ended():
    task = spawn(sleeper("a", 1, 7))
    await sleep_for(5)
    say(f"done: {task.done():d}")
    say_end("a", await ended(task))


@scenario()
async def await_a_failure_twice():
    task = spawn(sleeper("a", 1, -errno.EIO))
    say_end("first", await ended(task))
    say_end("second", await ended(task))


async def awaiter(name, task, ms):
    result = await task
    await sleep_for(ms)
    say_end(name, result)
    return result


@scenario()
async def await_by_many():
    task = spawn(sleeper("task", 5, 7))
    a, b, c = (spawn(awaiter(name, task, ms)) for name, ms in (("a", 1), ("b", 2), ("c", 3)))
    say_end("a", await ended(a))
    say_end("b", await ended(b))
    say_end("c", await ended(c))


async def awaits_itself():
    say_end("itself", await ended(asyncio.current_task()))
    return 1


@scenario()
async def await_oneself():
    say_end("task", await ended(spawn(awaits_itself())))


@scenario()
async def result_before_the_end():
    task = spawn(sleeper("a", 2, 7))
    await sleep_for(1)
    say_end("result", tried(task.result))
    await sleep_for(2)
    say_end("result", tried(task.result))


@scenario()
async def nobody_holds_it():
    spawn(sleeper("a", 2))
    await sleep_for(3)
    say("the end")


async def nests(depth):
    below = 0
    await sleep_for(1)
    if depth > 0:
        below = await spawn(nests(depth - 1))
    say_end("below", below)
    return below + 1


@scenario()
async def tasks_of_tasks():
    say_end("all", await ended(spawn(nests(3))))


async def says_its_name():
    say(f"I am {asyncio.current_task().get_name()}")


@scenario()
async def a_task_has_a_name():
    await spawn(says_its_name(), name="worker")


class Turns:
    """Two that take turns: each begins when it has seen the other one, a before b."""

    a_is_there = b_is_there = a_has_begun = False

    async def a(self):
        self.a_is_there = True
        while not self.b_is_there:
            await sleep_for(0)
        self.a_has_begun = True
        for i in (1, 2, 3):
            say(f"a {i}")
            await sleep_for(0)

    async def b(self):
        self.b_is_there = True
        while not self.a_has_begun:
            await sleep_for(0)
        for i in (1, 2, 3):
            say(f"b {i}")
            await sleep_for(0)


@scenario()
async def yield_takes_turns():
    turns = Turns()
    a, b = spawn(turns.a()), spawn(turns.b())
    await a
    await b


@scenario(NATURAL)
async def order_of_first_runs():
    for task in [spawn(say_task(text)) for text in "abc"]:
        await task


async def first_runs_in_pairs(text):
    say(text)
    await sleep_for(0)
    say(text)


@scenario(NATURAL)
async def order_of_second_runs():
    for task in [spawn(first_runs_in_pairs(text)) for text in "ab"]:
        await task


async def waits_for_value(text, task):
    await task
    return await say_task(text)


@scenario(NATURAL)
async def order_of_wakes():
    task = spawn(sleeper("task", 10))
    waiters = []
    for text in "abc":
        waiters.append(spawn(waits_for_value(text, task)))
        await sleep_for(1)
    for waiter in waiters:
        await waiter


@scenario()
async def main_leaves_a_task():
    spawn(sleeper("left", 100))
    await sleep_for(5)
    say("main ends")


@scenario()
async def main_leaves_one_that_cleans_up():
    spawn(sleeper("left", 100, cleanup=20))
    await sleep_for(5)
    say("main ends")


async def run_inside():
    await sleep_for(1)
    say("inside")
    return 3


@scenario()
async def run_inside_a_task():
    inside = run_inside()
    say_end("run", tried(asyncio.run, inside))
    inside.close()
