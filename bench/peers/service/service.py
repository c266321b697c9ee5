#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""examples/service in asyncio: aiohttp, and sqlite3 in one thread, as aiosqlite does it: service.py PORT DATABASE

The same items with the same answers and the same settings of SQLite; each write is a transaction and waits for the disk.
Debian's python3-aiohttp. It logs nothing, and has neither metrics nor thumbnails.
"""

import asyncio
import concurrent.futures
import json
import sqlite3
import sys
import time

from aiohttp import web

TITLE_MAX, BODY_MAX, LIST_MAX = 200, 16384, 100
ITEM = "id, title, body, created, updated"
SETUP = """
PRAGMA busy_timeout=10000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA mmap_size=268435456;
PRAGMA cache_size=-8192;
CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, body TEXT NOT NULL,
created INTEGER NOT NULL, updated INTEGER NOT NULL);
"""

thread = concurrent.futures.ThreadPoolExecutor(1)
routes = web.RouteTableDef()
db = None


def execute(statement, parameters):
    return db.execute(statement, parameters).fetchall()


async def rows(statement, *parameters):
    return await asyncio.get_running_loop().run_in_executor(thread, execute, statement, parameters)


def item_of(row):
    return dict(zip(("id", "title", "body", "created", "updated"), row))


def answer(status, value, **fields):
    return web.Response(status=status, text=json.dumps(value) + "\n", content_type="application/json", headers=fields)


def refuse(status, code, message):
    return answer(status, {"error": {"status": status, "code": code, "message": message}})


def number(text, low, high):
    return int(text) if text.isascii() and text.isdigit() and low <= int(text) <= high else None


async def item_in(request):
    """The item in the body, or the answer that says what is wrong."""
    if request.content_type != "application/json":
        return refuse(415, "not_json", "the Content-Type must be application/json")
    try:
        item = await request.json()
    except ValueError as error:
        return refuse(400, "invalid_item", f"no valid JSON: {error}")
    if not isinstance(item, dict) or not set(item) <= {"title", "body"}:
        return refuse(400, "invalid_item", "the body must be an object with title and body")
    title, body = item.get("title"), item.get("body", "")
    if not isinstance(title, str) or not isinstance(body, str):
        return refuse(400, "invalid_item", "title and body must be strings")
    if not 0 < len(title.encode()) <= TITLE_MAX or len(body.encode()) > BODY_MAX:
        return refuse(400, "invalid_item", "title or body is empty or too long")
    return title, body


@routes.get("/items")
async def items_list(request):
    limit = number(request.query.get("limit", "20"), 1, LIST_MAX)
    after = number(request.query.get("after", "0"), 0, 10**18 - 1)
    if limit is None or after is None:
        return refuse(400, "invalid_query", "limit or after is out of range")
    found = await rows(f"SELECT {ITEM} FROM items WHERE id > ? ORDER BY id LIMIT ?", after, limit + 1)
    return answer(200, {"items": [item_of(row) for row in found[:limit]],
                        "next": found[limit - 1][0] if len(found) > limit else None})


@routes.post("/items")
async def items_add(request):
    item = await item_in(request)
    if isinstance(item, web.Response):
        return item
    now = int(time.time() * 1000)
    made = await rows(f"INSERT INTO items (title, body, created, updated) VALUES (?, ?, ?, ?) RETURNING {ITEM}", *item, now,
                      now)
    return answer(201, item_of(made[0]), Location=f"/items/{made[0][0]}")


@routes.get("/items/{id}")
async def items_get(request):
    id = number(request.match_info["id"], 0, 10**18 - 1)
    if id is None:
        return refuse(400, "invalid_id", "an id is a number of up to 18 digits")
    found = await rows(f"SELECT {ITEM} FROM items WHERE id = ?", id)
    return answer(200, item_of(found[0])) if found else refuse(404, "not_found", "there is none with this id")


@routes.put("/items/{id}")
async def items_put(request):
    id = number(request.match_info["id"], 0, 10**18 - 1)
    item = await item_in(request)
    if isinstance(item, web.Response):
        return item
    done = await rows("UPDATE items SET title = ?2, body = ?3, updated = CASE WHEN title = ?2 AND body = ?3 THEN updated "
                      f"ELSE ?4 END WHERE id = ?1 RETURNING {ITEM}", id, *item, int(time.time() * 1000))
    return answer(200, item_of(done[0])) if done else refuse(404, "not_found", "there is none with this id")


@routes.delete("/items/{id}")
async def items_delete(request):
    id = number(request.match_info["id"], 0, 10**18 - 1)
    done = await rows("DELETE FROM items WHERE id = ? RETURNING id", id)
    return web.Response(status=204) if done else refuse(404, "not_found", "there is none with this id")


@routes.get("/healthz")
async def health(_):
    return answer(200, {"status": "alive"})


def main():
    global db
    db = sqlite3.connect(sys.argv[2], isolation_level=None, check_same_thread=False)
    db.executescript(SETUP)
    app = web.Application()
    app.add_routes(routes)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


main()
