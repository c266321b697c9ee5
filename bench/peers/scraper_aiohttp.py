#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The workload scraper by aiohttp: scraper_aiohttp.py [--n=N] --port=N; see README.md. Debian: python3-aiohttp."""

import sys

sys.path.pop(0)  # beside this file lies the peer asyncio.py

import argparse
import asyncio
import json
import resource
import time

import aiohttp

AT_A_TIME = 100


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def fetch(session, url):
    async with session.get(url) as response:
        return len(await response.text())


async def scrape(url, n):
    connector = aiohttp.TCPConnector(limit=AT_A_TIME)
    async with aiohttp.ClientSession(connector=connector) as session:
        return sum(await asyncio.gather(*[fetch(session, url) for _ in range(n)]))


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    began, cpu = time.monotonic(), cpu_seconds()
    check = await scrape(f"http://127.0.0.1:{arguments.port}/", arguments.n)
    took, cpu = time.monotonic() - began, cpu_seconds() - cpu
    print(json.dumps({"workload": "scraper", "system": "aiohttp", "workers": 1, "n": arguments.n,
                      "ops": arguments.n, "check": check, "seconds": round(took, 6),
                      "cpu_seconds": round(cpu, 6)}))


asyncio.run(main())
