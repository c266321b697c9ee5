#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What Python's asyncio has of the workloads that are about its own surface; the workers are loops."""

import asyncio
import json
import platform
import sys
import threading
import time


def status_kib(key):
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(key + ":"))


def timed(run):
    start = time.perf_counter()
    check = run()
    return time.perf_counter() - start, check


def start_stop(n, workers):
    ran = 0

    async def empty():
        nonlocal ran
        ran += 1

    def cycles():
        for _ in range(n):
            asyncio.run(empty())
        return ran

    return timed(cycles)


async def cancel_sleepers_async(n):
    tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(n)]
    await asyncio.sleep(0.05)
    start = time.perf_counter()
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    took = time.perf_counter() - start
    return took, sum(isinstance(r, asyncio.CancelledError) for r in results)


def cancel_sleepers(n, workers):
    return asyncio.run(cancel_sleepers_async(n))


class Side:
    """Called when a future of its loop is done; completes one of the other side, on that one's loop."""

    def __init__(self, loop, n, wakes):
        self.loop, self.calls, self.wakes, self.called = loop, n, wakes, 0
        self.ended = loop.create_future()

    def ask(self):
        self.next = self.loop.create_future()
        self.next.add_done_callback(self.on_done)

    def pass_on(self):
        other = self.other
        if other.loop is self.loop:
            other.next.set_result(None)
        else:
            other.loop.call_soon_threadsafe(other.next.set_result, None)

    def on_done(self, _):
        self.called += 1
        if self.called < self.calls:
            self.ask()
        else:
            self.ended.set_result(None)
        if self.called <= self.wakes:
            self.pass_on()


def done_roundtrip(n, workers):
    loops = [asyncio.new_event_loop() for _ in range(workers)]
    sides = [Side(loops[0], n, n), Side(loops[-1], n, n - 1)]
    sides[0].other, sides[1].other = sides[1], sides[0]

    def trips():
        for side in sides:
            side.ask()
        loops[0].call_soon(sides[1].pass_on)
        other = threading.Thread(target=lambda: loops[-1].run_until_complete(sides[1].ended))
        if workers == 2:
            other.start()
        loops[0].run_until_complete(sides[0].ended)
        if workers == 2:
            other.join()
        else:
            loops[0].run_until_complete(sides[1].ended)
        return sides[0].called + sides[1].called

    took = timed(trips)
    for loop in loops:
        loop.close()
    return took


# name: (function, the default n, operations of one, the most workers)
WORKLOADS = {
    "start_stop": (start_stop, 1000, 1, 1),
    "cancel_sleepers": (cancel_sleepers, 100000, 1, 1),
    "done_roundtrip": (done_roundtrip, 100000, 2, 2),
}


def main():
    name = sys.argv[1]
    given = dict(arg.removeprefix("--").split("=") for arg in sys.argv[2:])
    workers = int(given.get("workers", 1))
    run, n, each, most = WORKLOADS.get(name, (None, 0, 0, 0))
    if workers > most:
        print("asyncio: one loop runs on one thread" if run else "asyncio: not among these", file=sys.stderr)
        sys.exit(3)
    n = int(given.get("n", n))
    run(n // 10 + 1, workers)
    took, check = run(n, workers)
    ops = each * n
    print(json.dumps({"peer": "asyncio", "version": platform.python_version(), "workload": name,
                      "workers": workers, "n": n, "ops": ops, "seconds": round(took, 6),
                      "ns_per_op": round(took * 1e9 / ops, 3), "check": check,
                      "peak_rss_kib": status_kib("VmHWM")}))


if __name__ == "__main__":
    main()
