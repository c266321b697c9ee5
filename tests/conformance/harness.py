# SPDX-License-Identifier: MIT
"""What the scenarios share: conformance.h in Python, on a loop with virtual time.

The clock of the loop stands still while anything is ready, and jumps to the next timer when nothing is. So a
scenario takes no time, and the moments in its trace are exact.
"""

import asyncio
import concurrent.futures
import errno
import gc
import selectors
import sys
from asyncio import CancelledError

NATURAL = 1  # of an order that Hilo does not promise; says so to the reader, here
THREADS = 2  # with threads, on the machine's own time: its lines do not tell when
OUTSIDE = 4  # a plain function outside of any loop, and otherwise as THREADS

scenarios = {}  # name: (function, flags, the documented trace or None, whether this Python is too old)
_trace = []
_tells_time = True
_lost = 0


def scenario(flags=0, since=11, documented=""):
    """Decorates a scenario; its name is that of the C function.

    One of what a later Python has, 3.SINCE, tells what is documented to come out, for those that are older.
    """
    is_missing = sys.version_info < (3, since)
    promised = [line.strip() for line in documented.strip().splitlines()] if documented else None

    def add(function):
        assert function.__name__ not in scenarios, function.__name__
        assert since == 11 or promised, function.__name__
        scenarios[function.__name__] = (function, flags, promised, is_missing)
        return function

    return add


# ---- The loop --------------------------------------------------------------------------------------


class _VirtualSelector(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("nothing is ready, and nothing ever will be")
        ready = super().select(0)
        if not ready:
            self.now = round(self.now + max(timeout, 0), 6)
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self._virtual = _VirtualSelector()
        super().__init__(self._virtual)

    def time(self):
        return self._virtual.now


def _on_exception(loop, context):
    """The only thing that scenarios should make asyncio log is a failure that nobody has looked at."""
    global _lost
    if "never retrieved" in context["message"]:
        _lost += 1
    else:
        _trace.append(f"log: {context['message']}: {context.get('exception')!r}")


def run(name):
    """The trace of a scenario, as lines."""
    global _tells_time, _lost
    function, flags, promised, is_missing = scenarios[name]
    if is_missing:
        return promised
    _trace.clear()
    _tells_time = not flags & (THREADS | OUTSIDE)
    _lost = 0
    if flags & OUTSIDE:
        function()
        gc.collect()
    else:
        _run_in_loop(function)
    if _lost:
        _trace.append(f"lost: {_lost}")
    if promised and promised != _trace:
        _trace.append(f"but documented: {promised}")
    return list(_trace)


def _run_in_loop(function):
    loop_factory = _VirtualLoop if _tells_time else asyncio.SelectorEventLoop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.get_loop().set_exception_handler(_on_exception)
        runner.run(function())
        gc.collect()


def new_loop():
    """A loop of one's own, for a scenario outside of any."""
    loop = asyncio.SelectorEventLoop()
    loop.set_exception_handler(_on_exception)
    return loop


# ---- The words of conformance.h --------------------------------------------------------------------


def say(text):
    when = f"{asyncio.get_running_loop().time() * 1000:.0f} " if _tells_time else ""
    _trace.append(when + text)


# What some messages of RuntimeError mean.
_runtime_errors = {
    "after shutdown": "closed",
    "is closed": "closed",
    "stopped before": "stopped",
    "is shutting down": "closed",
    "Cannot change state": "invalid state",
    "has already been used": "invalid state",
    "is already entered": "EBUSY",
    "Barrier aborted": "EPIPE",
    "Abort or reset of barrier": "EPIPE",
    "un-acquired lock": "EPERM",
    "Lock is not acquired": "EPERM",
}


def _runtime_error(text):
    return next((word for part, word in _runtime_errors.items() if part in text), "not here")


def _word(outcome):
    match outcome:
        case BaseExceptionGroup():
            return _word(outcome.exceptions[0])
        case CancelledError() | concurrent.futures.CancelledError():
            return "cancelled"
        case TimeoutError():
            return "timeout"
        case asyncio.InvalidStateError():
            return "invalid state"
        case OSError():
            return errno.errorcode[outcome.errno]
        case ValueError():
            return "EINVAL"
        case asyncio.QueueEmpty():
            return "empty"
        case asyncio.QueueFull():
            return "full"
        case Exception() if type(outcome).__name__ == "QueueShutDown":  # of 3.13
            return "EPIPE"
        case RuntimeError():
            return _runtime_error(str(outcome))
        case _:
            return str(outcome or 0)


def say_end(what, outcome):
    say(f"{what}: {_word(outcome)}")


async def say_task(text):
    say(text)
    return 1


def finish(code):
    """Ends a task with a code of C: a number, or a failure."""
    if code < 0:
        raise OSError(-code, "")
    return code


async def ended(awaitable):
    """What a call in C returns: the result, or the failure as a value."""
    try:
        return await awaitable
    except (Exception, CancelledError) as failure:
        return failure


def tried(function, *args):
    """The same for a call that does not suspend."""
    try:
        return function(*args)
    except (Exception, CancelledError) as failure:
        return failure


def failures_in(outcome):
    """The failures that a group has ended with, in their order; anything else alone."""
    if isinstance(outcome, BaseExceptionGroup):
        return [failure for inner in outcome.exceptions for failure in failures_in(inner)]
    return [outcome]


def leave_with(outcome):
    """Ends a task with what a call has come to."""
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def spawn(coroutine, name=None):
    return asyncio.create_task(coroutine, name=name)


def after(ms):
    """The moment in so many milliseconds, by the loop's clock."""
    return asyncio.get_running_loop().time() + ms / 1000


async def within(limit, awaitable):
    """In so many ms; 0: for ever; below 0: no time at all."""
    async with asyncio.timeout(max(limit, 0) / 1000 if limit else None):
        return await awaitable


async def sleep_for(ms):
    await asyncio.sleep(ms / 1000)


def call_soon(function, *args):
    return asyncio.get_running_loop().call_soon(function, *args)


def call_later(ms, function, *args):
    return asyncio.get_running_loop().call_later(ms / 1000, function, *args)


def new_future():
    return asyncio.get_running_loop().create_future()


def ask_to_cancel(name, task):
    say(f"cancel {name}: {'asked' if task.cancel() else 'it has ended'}")


def set_value(future, value):
    failure = tried(future.set_result, value)
    say_end("set", failure or value)


async def section(coroutine):
    """What lies between hilo_shield_enter and hilo_shield_leave: a cancel waits for the next await behind it."""
    inner = spawn(coroutine)
    requests = 0
    while not inner.done():
        try:
            await asyncio.wait([inner])
        except CancelledError:
            requests += 1
    for _ in range(requests):
        asyncio.current_task().uncancel()
        asyncio.current_task().cancel()
    return inner.result()


async def sleeper(name, ms, code=0, cleanup=0, keeps=False):
    try:
        await sleep_for(ms)
        say(f"{name} slept")
    except CancelledError as cancelled:
        if cleanup:
            await sleep_for(cleanup)
        say_end(name, cancelled)
        if not keeps:
            raise
    return finish(code)


# ---- Queues ----------------------------------------------------------------------------------------


async def _porter_ends(name, ms, outcome):
    if not isinstance(outcome, BaseException) and ms:
        await sleep_for(ms)
    say_end(name, outcome)
    return leave_with(outcome)


async def puts(name, start, ms, limit, queue, value):
    await sleep_for(start)
    return await _porter_ends(name, ms, await ended(within(limit, queue.put(value))))


async def gets(name, start, ms, limit, queue):
    await sleep_for(start)
    return await _porter_ends(name, ms, await ended(within(limit, queue.get())))


async def say_put(what, queue, value, limit=0):
    say_end(what, await ended(within(limit, queue.put(value))))


async def say_get(what, queue, limit=0):
    say_end(what, await ended(within(limit, queue.get())))


def say_try_put(queue, value):
    say_end("try to put", tried(queue.put_nowait, value))


def say_try_get(queue):
    say_end("try to get", tried(queue.get_nowait))


def say_sizes(queue):
    say(f"size: {queue.qsize()}, empty: {queue.empty():d}, full: {queue.full():d}")
