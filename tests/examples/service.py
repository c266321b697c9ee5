# SPDX-License-Identifier: MIT
"""The service from the outside: service.py PROGRAM PHOTO-PROGRAM sqlite|postgresql|requests

Its answers, what it refuses, what it keeps when it is killed, restarts and ends under load, its log and its figures. Waits
for what happens, never for time to pass; the limits are for a machine on which something has gone wrong. "requests" is
SQLite without what needs signals, which ThreadSanitizer keeps back.
"""

import glob
import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

LIMIT = 200  # seconds
program, photo_program, store = sys.argv[1:4]
checks = failures = 0
work = tempfile.mkdtemp(prefix="hilo-service.")
os.chmod(work, 0o755)


def same(text, wanted, got):
    global checks, failures
    checks += 1
    if wanted != got:
        failures += 1
        print(f"FAIL: {text}\n    wanted: {wanted!r}\n    got:    {got!r}")


def skip(why):
    print(f"SKIP: {why}")
    shutil.rmtree(work)
    sys.exit(77)


def until(what, condition):
    end = time.monotonic() + LIMIT
    while not (value := condition()):
        if time.monotonic() > end:
            sys.exit(f"FAIL: {what}: not in {LIMIT} s")
        time.sleep(0.01)
    return value


# ---- The service, and what is asked of it ------------------------------------------------------------------------


class Service:
    """One that runs, or its successor, which is found by the file with its number."""

    count = 0

    def __init__(self, *options, name="service", environment=None, executable=program, **popen):
        Service.count += 1
        self.log = f"{work}/{name}-{Service.count}.log"
        self.pid_file = f"{work}/{name}-{Service.count}.pid"
        arguments = [executable, "--port", "0", "--pid-file", self.pid_file, "--log", self.log, *options]
        self.process = subprocess.Popen(arguments, cwd=work, env={**os.environ, **(environment or database)}, **popen)
        until("it begins", lambda: os.path.exists(self.pid_file) or self.process.poll() is not None)
        if self.process.poll() is not None:
            sys.exit(f"FAIL: it does not begin, status {self.process.poll()}")
        self.port = until("it tells its port", self.listening)

    def events(self):
        """Lines of the log that are whole."""
        try:
            with open(self.log, "rb") as file:
                return [json.loads(line) for line in file if line.endswith(b"\n")]
        except FileNotFoundError:
            return []

    def listening(self):
        return next((event["port"] for event in self.events() if event.get("event") == "listening"), None)

    def pid(self):
        with open(self.pid_file) as file:
            return int(file.read())

    def kill(self, signo):
        os.kill(self.pid(), signo)

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)

    def ask(self, method, path, body=None, kind="application/json", connection=None, **fields):
        """Status, body (as JSON where it is that), fields."""
        mine = connection or self.connect()
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        headers = {"Content-Type": kind} if body is not None and kind else {}
        mine.request(method, path, body, {**headers, **fields})
        answer = mine.getresponse()
        data = answer.read()
        if not connection:
            mine.close()
        if answer.headers.get("Content-Type") == "application/json" and method != "HEAD":
            data = json.loads(data)
        return answer.status, data, answer.headers

    def refusal(self, *arguments, **more):
        status, data, _ = self.ask(*arguments, **more)
        return status, data["error"]["code"] if isinstance(data, dict) and "error" in data else data

    def figure(self, name):
        _, data, _ = self.ask("GET", "/metrics")
        return sum(float(line.split()[-1]) for line in data.decode().splitlines() if line.startswith(name))

    def stop(self):
        self.kill(signal.SIGTERM)
        same("its status at SIGTERM", 0, self.process.wait(LIMIT))


def is_gone(pid):
    """Also one that nobody has waited for."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def photo(*arguments):
    return subprocess.run([photo_program, *map(str, arguments)], stdout=subprocess.PIPE, check=True).stdout


def frame_of(jpeg):
    """Where the size of a JPEG stands."""
    at = 2
    while jpeg[at] == 0xFF:
        if jpeg[at + 1] in (0xC0, 0xC1, 0xC2):
            return at + 5
        at += 2 + int.from_bytes(jpeg[at + 2:at + 4], "big")
    return None


def size_of(jpeg):
    at = frame_of(jpeg)
    return int.from_bytes(jpeg[at + 2:at + 4], "big"), int.from_bytes(jpeg[at:at + 2], "big")


# ---- Answers -----------------------------------------------------------------------------------------------------


def test_items(s):
    texts = {"title": "Größe \U0001f9f5", "body": 'a "line"\nand \\ another\t\x01'}
    status, item, fields = s.ask("POST", "/items", texts)
    place = fields["Location"]
    same("an item is made", (201, f"/items/{item['id']}", texts), (status, place, {k: item[k] for k in texts}))
    same("and read", (200, item), s.ask("GET", place)[:2])
    same("and looked at", (200, b""), s.ask("HEAD", place)[:2])
    changed = {"title": "short", "body": ""}
    status, after, _ = s.ask("PUT", place, {"title": "short"})
    same("and replaced", (200, {**item, **changed, "updated": after["updated"]}), (status, after))
    same("once more changes nothing", (200, after), s.ask("PUT", place, changed)[:2])
    same("nothing to replace", (404, "not_found"), s.refusal("PUT", "/items/999999999", changed))
    same("and removed", (204, b""), s.ask("DELETE", place)[:2])
    same("but once", (404, "not_found"), s.refusal("DELETE", place))
    same("and is gone", (404, "not_found"), s.refusal("GET", place))


def test_pages(s):
    ids = [s.ask("POST", "/items", {"title": f"page {n}"})[1]["id"] for n in range(25)]
    found, after = [], ids[0] - 1
    for wanted in (10, 10, 5):
        status, page, _ = s.ask("GET", f"/items?limit=10&after={after}")
        same("a page", (200, wanted), (status, len(page["items"])))
        found += [item["id"] for item in page["items"]]
        after = page["next"]
    same("all of them, in order", (ids, None), (found, after))
    same("without a limit", 20, len(s.ask("GET", f"/items?after={ids[0] - 1}")[1]["items"]))
    for query in ("limit=0", "limit=101", "limit=x", "limit=", "after=-1", "after=1e3"):
        same(query, (400, "invalid_query"), s.refusal("GET", f"/items?{query}"))


def test_refusals(s):
    many = {"title": "x", "body": "y" * 16385}
    for text, body in {
            "no JSON": "{", "an array": [1], "a number": "7", "no title": {"body": "x"}, "an empty title": {"title": ""},
            "a title of another kind": {"title": 1}, "an unknown member": {"title": "x", "id": 7},
            "a member twice": '{"title":"a","title":"b"}', "no UTF-8": b'{"title":"\xff\xfe"}', "a NUL": '{"title":"\\u0000"}',
            "a long title": {"title": "x" * 201}, "a long body": many, "deep": "[" * 60000, "more behind it": '{"title":"x"} x',
    }.items():
        same(text, (400, "invalid_item"), s.refusal("POST", "/items", body))
        same(f"{text}, as PUT", (400, "invalid_item"), s.refusal("PUT", "/items/1", body))
    same("too large", (413, "too_large"), s.refusal("POST", "/items", b" " * 70000))
    same("no type", (415, "not_json"), s.refusal("POST", "/items", {"title": "x"}, kind=None))
    same("another type", (415, "not_json"), s.refusal("POST", "/items", {"title": "x"}, kind="application/jsonx"))
    same("a type with more", 201, s.ask("POST", "/items", {"title": "x"}, kind="application/json; charset=utf-8")[0])
    for id in ("x", "-1", "1e3", "0x1", "9" * 19, "%00", "%20"):
        same(f"the id {id}", 400, s.ask("GET", f"/items/{id}")[0])
    same("no such path", (404, "no_such_path"), s.refusal("GET", "/none"))
    status, data, fields = s.ask("PATCH", "/items/1", "{}")
    same("no such method", (405, "no_such_method", "this path has no PATCH", "DELETE, GET, HEAD, OPTIONS, PUT"),
         (status, data["error"]["code"], data["error"]["message"], ", ".join(sorted(fields["Allow"].split(", ")))))
    same("the options", 204, s.ask("OPTIONS", "/items/1")[0])


def test_health(s):
    same("it lives", (200, {"status": "alive"}), s.ask("GET", "/healthz")[:2])
    same("it is ready", (200, {"status": "ready"}), s.ask("GET", "/readyz")[:2])
    before = s.figure('service_requests_total{method="GET",route="/healthz",status="2xx"}')
    for _ in range(7):
        s.ask("GET", "/healthz")
    same("counted", before + 7, s.figure('service_requests_total{method="GET",route="/healthz",status="2xx"}'))
    same("timed", before + 7, s.figure('service_request_seconds_count{method="GET",route="/healthz"}'))
    same("all times are in the last bucket", before + 7,
         s.figure('service_request_seconds_bucket{method="GET",route="/healthz",le="+Inf"}'))
    kind = "postgresql" if store == "postgresql" else "sqlite"
    same("which store", 1, s.figure(f'service_store{{kind="{kind}"}}'))
    _, data, fields = s.ask("GET", "/metrics")
    names = [line.split()[2] for line in data.decode().splitlines() if line.startswith("# TYPE ")]
    same("each figure has one head", len(names), len(set(names)))
    same("the type of figures", "text/plain; version=0.0.4; charset=utf-8", fields["Content-Type"])


def test_photos(s):
    plain, progressive = photo(1000, 700), photo(640, 480, "progressive")
    for jpeg, (width, height) in ((plain, (1000, 700)), (progressive, (640, 480))):
        status, made, fields = s.ask("POST", "/photos", jpeg, kind="image/jpeg")
        place = fields["Location"]
        same("a photo", (201, width, height, len(jpeg)), (status, made["width"], made["height"], made["bytes"]))
        same("as it was", (200, jpeg), s.ask("GET", place)[:2])
        for wanted in (1, 37, 250, width - 1, width, 2048):
            status, small, fields = s.ask("GET", f"{place}/thumbnail?width={wanted}")
            n = min(wanted, width)
            same(f"{wanted} wide", (200, "image/jpeg", (n, max(height * n // width, 1))),
                 (status, fields["Content-Type"], size_of(small)))
        same("no width", 256, size_of(s.ask("GET", f"{place}/thumbnail")[1])[0])
        for wanted in ("0", "2049", "x"):
            same(f"{wanted} wide", (400, "invalid_query"), s.refusal("GET", f"{place}/thumbnail?width={wanted}"))
        same("removed", 204, s.ask("DELETE", place)[0])
        same("gone", (404, "not_found"), s.refusal("GET", f"{place}/thumbnail"))
    test_bad_photos(s, plain, progressive)


def test_bad_photos(s, plain, progressive):
    for text, jpeg in (("no JPEG", b"hello"), ("nothing", b""), ("its head alone", plain[:40])):
        same(text, (422, "invalid_photo"), s.refusal("POST", "/photos", jpeg, kind="image/jpeg"))
    at = frame_of(plain)
    huge = plain[:at] + b"\xff\x00\xff\x00" + plain[at + 4:]
    same("too many pixels", (422, "too_many_pixels"), s.refusal("POST", "/photos", huge, kind="image/jpeg"))
    same("too large", (413, "too_large"), s.refusal("POST", "/photos", bytes(1000), kind="image/jpeg",
                                                    **{"Content-Length": str(3 << 20)}))
    same("another type", (415, "not_jpeg"), s.refusal("POST", "/photos", plain, kind="image/png"))
    for jpeg in (plain[:len(plain) // 2], progressive[:len(progressive) // 2]):  # the rest is grey
        place = s.ask("POST", "/photos", jpeg, kind="image/jpeg")[2]["Location"]
        same("one that is cut", 200, s.ask("GET", f"{place}/thumbnail")[0])
    at = progressive.index(b"\xff\xda", progressive.index(b"\xff\xda") + 2)  # between two scans
    comment = progressive[:at] + b"\xff\xfe\xff\xff" + bytes(0xfffd) + progressive[at:]
    smaller = [s.ask("GET", s.ask("POST", "/photos", jpeg, kind="image/jpeg")[2]["Location"] + "/thumbnail")[:2]
               for jpeg in (progressive, comment)]
    same("one with a comment inside", (200, smaller[0]), (smaller[1][0], smaller[1]))
    at = frame_of(progressive)
    large = progressive[:at] + b"\x1b\x00\x1b\x00" + progressive[at + 4:]
    place = s.ask("POST", "/photos", large, kind="image/jpeg")[2]["Location"]
    same("one that needs much memory", (422, "too_many_pixels"), s.refusal("GET", f"{place}/thumbnail"))
    broken = plain[:300] + b"\xff\xc4\x00\x05\xff\xff" + plain[300:]
    status, made, _ = s.ask("POST", "/photos", broken, kind="image/jpeg")
    if status == 201:
        same("one that is broken inside", True, s.ask("GET", f"/photos/{made['id']}/thumbnail")[0] in (200, 422))


def together(n, function, *arguments):
    """Have @function called n times side by side; what it has returned."""
    results = [None] * n
    def one(i):
        try:
            results[i] = function(*arguments)
        except Exception as error:  # is a result, too
            results[i] = error
    threads = [threading.Thread(daemon=True, target=one, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    return results


def test_thumbnails_together(s):
    """Those that find no place are told to come again; everybody else goes on."""
    place = s.ask("POST", "/photos", photo(2000, 1500), kind="image/jpeg")[2]["Location"]
    stop = threading.Event()
    def light():
        n = 0
        while not stop.is_set():
            n += s.ask("GET", "/healthz")[0] == 200
        return n
    counts = []
    others = threading.Thread(daemon=True, target=lambda: counts.append(light()))
    others.start()
    answers = together(24, s.ask, "GET", f"{place}/thumbnail?width=300")
    stop.set()
    others.join(LIMIT)
    statuses = {answer[0] if isinstance(answer, tuple) else repr(answer) for answer in answers}
    same("made, or later", True, 200 in statuses and statuses <= {200, 503})
    same("when", {"1"}, {answer[2]["Retry-After"] for answer in answers if answer[0] == 503} or {"1"})
    same("others meanwhile", True, counts and counts[0] > 0)
    for _ in range(8):  # clients that go away
        with socket.create_connection(("127.0.0.1", s.port)) as client:
            client.sendall(f"GET {place}/thumbnail HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    until("their work ends", lambda: s.ask("GET", f"{place}/thumbnail?width=30")[0] == 200)


# ---- What is kept ------------------------------------------------------------------------------------------------


def write_until_dead(s, who, made, numbers, enough):
    """Make items, and count in one of them; what was acknowledged is noted, up to the first failure."""
    try:
        connection = s.connect()
        mine = s.ask("POST", "/items", {"title": f"counter {who}", "body": "0"}, connection=connection)[1]["id"]
        numbers[mine] = [0, 0]
        for n in range(1, 1000000):
            status, item, _ = s.ask("POST", "/items", {"title": f"{who}/{n}"}, connection=connection)
            if status == 201:
                made[item["id"]] = f"{who}/{n}"
            numbers[mine][1] = n  # sent
            if s.ask("PUT", f"/items/{mine}", {"title": "counter", "body": str(n)}, connection=connection)[0] == 200:
                numbers[mine][0] = n  # acknowledged
            if n >= 25:
                enough.set()
    except (OSError, http.client.HTTPException, ValueError):
        pass


def test_killed(*options):
    """kill -9 in the middle: no acknowledged write is lost."""
    s = Service(*options, name="killed")
    made, numbers, enough = {}, {}, threading.Event()
    writers = [threading.Thread(daemon=True, target=write_until_dead, args=(s, who, made, numbers, enough)) for who in range(16)]
    for writer in writers:
        writer.start()
    enough.wait(LIMIT)
    s.kill(signal.SIGKILL)
    for writer in writers:
        writer.join(LIMIT)
    s.process.wait(LIMIT)
    same("there was something to lose", True, len(made) >= 25)
    s = Service(*options, name="again")
    found, after = {}, 0
    while after is not None:
        page = s.ask("GET", f"/items?limit=100&after={after}")[1]
        found.update((item["id"], item) for item in page["items"])
        after = page["next"]
    same("acknowledged and lost", {}, {i: t for i, t in made.items() if found.get(i, {}).get("title") != t})
    same("replaced and lost", {}, {i: n for i, n in numbers.items()
                                   if not n[0] <= int(found[i]["body"] if i in found else -1) <= n[1]})
    s.stop()
    if store == "sqlite":
        with sqlite3.connect(f"{work}/killed.db") as check:
            same("the file is sound", ("ok",), check.execute("PRAGMA integrity_check").fetchone())
    print(f"kill -9: {len(made)} items and {sum(n for n, _ in numbers.values())} replacements acknowledged, none lost")


def test_sqlite_takes_long():
    """Somebody else holds the lock: writes that wait in the queue are taken back at their deadline, and never made."""
    path = f"{work}/long.db"
    s = Service("--deadline", "1", "--database", path, name="long")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    answers = []
    first = threading.Thread(daemon=True, target=lambda: answers.append(s.refusal("POST", "/items", {"title": "first"})))
    first.start()
    until("the first is being made", lambda: s.figure("service_store_running ") == 1)
    same("others are told", {(503, "timeout")}, set(together(6, s.refusal, "POST", "/items", {"title": "late"})))
    same("reads go on", 200, s.ask("GET", "/items")[0])
    holder.execute("ROLLBACK")
    holder.close()
    first.join(LIMIT)
    made = s.ask("GET", "/items?limit=100")[1]["items"]
    same("what was made was acknowledged", sum(status == 201 for status, _ in answers), len(made))
    same("late writes were not made", 0, sum(item["title"] == "late" for item in made))
    same("it goes on", 201, s.ask("POST", "/items", {"title": "after"})[0])
    s.stop()


def test_sqlite_ends_a_transaction():
    """A failure that ends the transaction: nothing of its batch is kept, and nothing of it is acknowledged."""
    path = f"{work}/ends.db"
    s = Service("--database", path, "--deadline", "100", name="ends")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("CREATE TRIGGER ends BEFORE INSERT ON items WHEN new.title = 'ends' BEGIN "
                   "SELECT RAISE(ROLLBACK, 'it has ended'); END")
    holder.execute("BEGIN IMMEDIATE")
    answers = {}
    def make(title):
        answers[title] = s.ask("POST", "/items", {"title": title})[0]
    makers = []
    for n, title in enumerate(("first", "before", "ends", "behind", "last")):
        makers.append(threading.Thread(daemon=True, target=make, args=(title,)))
        makers[-1].start()
        until("it waits", lambda: s.figure("service_store_running ") + s.figure("service_store_waiting ") == n + 1)
    holder.execute("ROLLBACK")
    holder.close()
    for maker in makers:
        maker.join(LIMIT)
    made = {item["title"] for item in s.ask("GET", "/items?limit=100")[1]["items"]}
    same("what was acknowledged is what was made", made, {title for title, status in answers.items() if status == 201})
    same("who has failed", 500, answers["ends"])
    same("it goes on", 201, s.ask("POST", "/items", {"title": "after"})[0])
    s.stop()


def test_slow_upload(*options):
    """Who sends for longer than the deadline is served all the same."""
    s = Service("--deadline", "3", *options, name="slow")
    body = json.dumps({"title": "slow"}).encode()
    with socket.create_connection(("127.0.0.1", s.port)) as client:
        client.sendall(b"POST /items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                       b"Connection: close\r\n\r\n" % len(body) + body[:5])
        time.sleep(3.5)
        client.sendall(body[5:])
        same("a slow upload", b"HTTP/1.1 201 Created", client.makefile("rb").read().split(b"\r\n")[0])
    s.stop()


# ---- Restart and end ---------------------------------------------------------------------------------------------


def load(s, stop, lost, counts, keeps):
    """Ask without a pause. Whatever goes wrong is a request that was lost."""
    n, connection = 0, s.connect()
    while not stop.is_set():
        try:
            status, _, _ = s.ask("GET", "/healthz", connection=connection)
            if n % 8 == 0:
                status = min(status, s.ask("POST", "/items", {"title": "load"}, connection=connection)[0])
            if status not in (200, 201):
                lost.append(status)
        except Exception as error:
            lost.append(repr(error))
            connection = s.connect()
        n += 1
        if not keeps:
            connection.close()
    counts.append(n)


def restart(s):
    """A SIGHUP, and then the next process has taken over and the one before is gone."""
    before = s.pid()
    os.kill(before, signal.SIGHUP)
    until("the next one begins", lambda: s.pid() != before)
    until("the one before ends", lambda: s.process.poll() is not None and is_gone(before))
    return before


def test_restart(*options):
    s = Service(*options, "--linger", "60", name="restart")
    stop, lost, counts = threading.Event(), [], []
    clients = [threading.Thread(daemon=True, target=load, args=(s, stop, lost, counts, i % 2 == 0)) for i in range(8)]
    for client in clients:
        client.start()
    waits = s.connect()  # has nothing to ask at the moment
    s.ask("GET", "/healthz", connection=waits)
    before = s.pid()
    s.kill(signal.SIGHUP)
    until("the next one begins", lambda: s.pid() != before)
    until("the one before drains", lambda: s.ask("GET", "/healthz", connection=waits)[2].get("Connection") == "close")
    waits.close()
    until("the one before ends", lambda: is_gone(before))
    same("its status", 0, s.process.wait(LIMIT))
    for _ in range(2):
        restart(s)
    stop.set()
    for client in clients:
        client.join(LIMIT)
    same("requests that were refused or lost", [], lost)
    same("clients that were served", True, len(counts) == 8 and min(counts) > 0)
    until("all have told that they listen", lambda: sum(event.get("event") == "listening" for event in s.events()) == 4)
    print(f"restarts: 3 under {sum(counts)} requests, none lost")
    test_restart_under_wrk(s)
    last = s.pid()
    s.kill(signal.SIGTERM)
    until("the last one ends", lambda: is_gone(last))


def test_restart_under_wrk(s):
    if not shutil.which("wrk"):
        print("SKIP: restart under load: wrk is not installed")
        return
    wrk = subprocess.Popen(["wrk", "-t", "2", "-c", "40", "-d", "4", f"http://127.0.0.1:{s.port}/items?limit=3"],
                           stdout=subprocess.PIPE, text=True)
    while wrk.poll() is None:
        restart(s)
    report = wrk.stdout.read()
    same("wrk has no errors", [], [line for line in report.splitlines() if "errors" in line or "Non-2xx" in line])
    same("wrk was answered", True, "requests in" in report)


def test_restart_that_fails(*options):
    """A program that does not begin any more: the old one goes on."""
    copy = f"{work}/copy"
    shutil.copy(program, copy)
    s = Service(*options, name="fails", executable=copy)
    os.unlink(copy)
    with open(copy, "w") as file:
        file.write("#!/bin/sh\nexit 7\n")
    os.chmod(copy, 0o755)
    before = s.pid()
    for n in (1, 2):
        s.kill(signal.SIGHUP)
        until("it tells", lambda: sum(event.get("event") == "restart failed" for event in s.events()) == n)
    same("it goes on", (before, 200), (s.pid(), s.ask("GET", "/readyz")[0]))
    s.stop()


def test_restart_without_pid_file(*options):
    """The next one cannot write its file: it ends before it has accepted anybody."""
    s = Service(*options, name="nofile")
    before = s.pid()
    os.rename(s.pid_file, f"{s.pid_file}.old")
    os.mkdir(s.pid_file)
    stop, lost, counts = threading.Event(), [], []
    clients = [threading.Thread(daemon=True, target=load, args=(s, stop, lost, counts, False)) for _ in range(4)]
    for client in clients:
        client.start()
    os.kill(before, signal.SIGHUP)
    until("it tells", lambda: any(event.get("event") == "restart failed" for event in s.events()))
    stop.set()
    for client in clients:
        client.join(LIMIT)
    same("requests that were lost with it", [], lost)
    os.rmdir(s.pid_file)
    os.rename(f"{s.pid_file}.old", s.pid_file)
    same("nothing is left of its file", [], glob.glob(f"{s.pid_file}.*"))
    s.stop()


def test_nobody_waits_any_more():
    """Who has started it has given up: it does not serve."""
    said, say = socket.socketpair()
    with said, say:
        said.shutdown(socket.SHUT_RD)
        done = subprocess.run([program, "--port", "0", "--log", "none", "--database", f"{work}/late.db"], cwd=work, text=True,
                              env={**os.environ, "SERVICE_READY_FD": str(say.fileno())}, pass_fds=[say.fileno()],
                              stderr=subprocess.PIPE, timeout=LIMIT)
    same("it ends", (1, True), (done.returncode, "nobody waits any more" in done.stderr))


def test_address_is_free(*options):
    """While the old one drains its address is not its any more: clients are refused, and another one can begin."""
    s = Service(*options, "--linger", "100", name="drains")
    waits = s.connect()
    s.ask("GET", "/healthz", connection=waits)
    s.kill(signal.SIGTERM)
    def refused():
        try:
            socket.create_connection(("127.0.0.1", s.port), LIMIT).close()
        except ConnectionRefusedError:
            return True
        return False
    until("clients are refused", refused)
    other = Service("--port", str(s.port), *options, name="follows")
    same("another one begins there", 200, other.ask("GET", "/healthz")[0])
    other.stop()
    same("the old one still answers", 200, s.ask("GET", "/healthz", connection=waits)[0])
    waits.close()
    same("and ends", 0, s.process.wait(LIMIT))


def test_end(*options):
    """SIGTERM in the middle of a request: it is answered, and the answer says that the connection ends."""
    s = Service(*options, "--linger", "60", "--drain", "60", name="end")
    body = json.dumps({"title": "half"}).encode()
    with socket.create_connection(("127.0.0.1", s.port)) as client:
        client.sendall(b"POST /items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                       b"Expect: 100-continue\r\n\r\n" % len(body))
        same("it has begun", b"HTTP/1.1 100 Continue\r\n\r\n", client.recv(25, socket.MSG_WAITALL))
        client.sendall(body[:5])
        s.kill(signal.SIGTERM)
        until("it stops", lambda: any(event.get("event") == "stop" for event in s.events()))
        client.sendall(body[5:])
        answer = client.makefile("rb").read()
    same("it is answered", b"HTTP/1.1 201 Created", answer.split(b"\r\n")[0])
    same("its status", 0, s.process.wait(LIMIT))
    same("the last line", True, s.events()[-1].get("event") == "drained")


# ---- The log -----------------------------------------------------------------------------------------------------


def test_log(s):
    s.ask("GET", "/items?after=0&x=quoted", **{"User-Agent": 'an "agent" \\ \xe9'})
    line = until("a line", lambda: next((e for e in s.events() if "quoted" in e.get("target", "")), None))
    same("a line", ("GET", 200, 'an "agent" \\ \ufffd'), (line["method"], line["status"], line["agent"]))
    same("its members", True, {"time", "peer", "status", "received", "sent", "us"} <= set(line))


def test_log_that_nobody_reads(*options):
    reading, writing = os.pipe()
    s = Service(*options, name="unread")
    s.stop()
    port_file = f"{work}/unread.pid"
    process = subprocess.Popen([program, "--port", str(s.port), "--log", "-", "--pid-file", port_file, *options], cwd=work,
                               env={**os.environ, **database}, stdout=writing)
    until("it begins", lambda: os.path.exists(port_file))
    connection = s.connect()
    for _ in range(700):
        s.ask("GET", f"/healthz?{'x' * 7000}", connection=connection)
    until("lines are dropped", lambda: s.figure("service_log_lost_total") > 0 or
          s.ask("GET", f"/healthz?{'x' * 7000}")[0] == 0)
    connection.close()
    process.send_signal(signal.SIGTERM)
    same("it ends all the same", 0, process.wait(LIMIT))
    os.close(writing)
    os.close(reading)


def test_mistakes():
    def told(*arguments, **environment):
        done = subprocess.run([program, *arguments], cwd=work, env={**os.environ, **environment}, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
        return done.returncode, done.stderr.strip()
    same("a port", (1, "service: --port: 'x' is not a number from 0 to 65535"), told("--port", "x"))
    same("an option", 1, told("--none")[0])
    same("an argument", (1, "service: 'x' is no option"), told("x"))
    status, text = told("--port", "0", "--log", "none", "--database", "/nowhere/at/all.db")
    same("a database", (1, True), (status, "unable to open database file" in text))
    status, text = told("--port", "0", "--log", "/nowhere/log", "--database", "x.db")
    same("a log", (1, True), (status, "/nowhere/log" in text))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, text = told("--port", str(port), "--log", "none", "--database", "x.db")
        same("a port that is taken", (1, True), (status, f"127.0.0.1, port {port}" in text))


# ---- PostgreSQL --------------------------------------------------------------------------------------------------


class Postgres:
    """A server of our own, of an unprivileged user, that listens at a socket in its folder alone."""

    def __init__(self):
        told = subprocess.run([program, "--port", "0", "--log", "none", "--database", "postgresql:///?host=/nowhere"], cwd=work,
                              text=True, stderr=subprocess.PIPE, timeout=LIMIT).stderr
        if "without libpq" in told:
            skip("the service was built without libpq")
        folders = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda p: float(p.split("/")[4]))
        initdb = folders[-1] if folders else shutil.which("initdb")
        if not initdb:
            skip("PostgreSQL's initdb is not installed")
        self.bin = os.path.dirname(initdb)
        self.folder = f"{work}/pg"
        self.user = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
        os.mkdir(self.folder)
        if os.getuid() == 0:
            os.chown(self.folder, 65534, 65534)
        self.run("initdb", "-A", "trust", "-U", "service", "--no-sync", "-E", "UTF8", "--locale=C")
        self.start()
        self.url = "postgresql:///postgres?" + urllib.parse.urlencode({"host": self.folder, "user": "service"})

    def run(self, name, *arguments):
        done = subprocess.run([f"{self.bin}/{name}", "-D", f"{self.folder}/data", *arguments], cwd=self.folder, text=True,
                              stdin=subprocess.DEVNULL, stdout=open(f"{work}/pg.out", "w"), stderr=subprocess.STDOUT,
                              **self.user)
        if done.returncode:
            sys.exit(f"FAIL: {name}: " + open(f"{work}/pg.out").read())

    def start(self):
        self.run("pg_ctl", "-w", "-t", str(LIMIT), "-l", f"{self.folder}/log", "-o",
                 f"-c listen_addresses= -c fsync=on -k {self.folder}", "start")

    def stop(self):
        self.run("pg_ctl", "-w", "-t", str(LIMIT), "-m", "immediate", "stop")

    def psql(self, *commands):
        arguments = [f"{self.bin}/psql", "-X", "-q", "-h", self.folder, "-U", "service", "postgres"]
        return subprocess.Popen([*arguments, *(part for c in commands for part in ("-c", c))], stdout=subprocess.PIPE,
                                text=True, **self.user, cwd=self.folder)


def test_postgres_goes_and_comes(s, postgres):
    ask = lambda: s.ask("GET", "/items?limit=1")[0]
    same("it is there", 200, ask())
    postgres.stop()
    until("it is gone", lambda: ask() == 503)
    same("what libpq says is not for clients", (503, "it cannot be done at the moment"),
         (lambda status, data, _: (status, data["error"]["message"]))(*s.ask("GET", "/items?limit=1")))
    until("it is in the log", lambda: any(event.get("event") == "overloaded" and "PostgreSQL" in event["message"]
                                          for event in s.events()))
    same("not ready", 503, s.ask("GET", "/readyz")[0])
    same("but alive", 200, s.ask("GET", "/healthz")[0])
    same("a write is refused", 503, s.ask("POST", "/items", {"title": "x"})[0])
    postgres.start()
    until("it is back", lambda: ask() == 200)
    same("writes as well", 201, s.ask("POST", "/items", {"title": "x"})[0])


def test_postgres_takes_long(postgres):
    """A statement that waits is cancelled at its deadline, and its connection goes on."""
    s = Service("--deadline", "1", "--connections", "2", name="long")
    s.ask("GET", "/items")
    locks = postgres.psql("BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE; SELECT 'locked'; SELECT pg_sleep(1000)")
    until("it is locked", lambda: s.ask("GET", "/items?limit=1")[0] == 503)
    same("all are told", {(503, "timeout")}, set(together(6, s.refusal, "POST", "/items", {"title": "late"})))
    same("others go on", 200, s.ask("GET", "/readyz")[0])
    locks.kill()
    postgres.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND "
                  "pid <> pg_backend_pid()").wait(LIMIT)
    until("it is back", lambda: s.ask("GET", "/items?limit=1")[0] == 200)
    same("late writes were not made", [], [item for item in s.ask("GET", "/items?limit=100")[1]["items"]
                                           if item["title"] == "late"])
    s.stop()


# ---- All of it ---------------------------------------------------------------------------------------------------

database = {"DATABASE_URL": f"sqlite:{work}/main.db"}


def main():
    global database
    postgres = None
    killed = ["--database", f"{work}/killed.db"]
    try:
        if store == "postgresql":
            postgres = Postgres()
            database = {"DATABASE_URL": postgres.url}
            killed = []
        s = Service("--photo-max", "2")
        for test in (test_items, test_pages, test_refusals, test_health):
            test(s)
        if s.ask("GET", "/photos/1")[0] == 404 and photo_program != "none":
            test_photos(s)
            test_thumbnails_together(s)
        test_log(s)
        if postgres:
            test_postgres_goes_and_comes(s, postgres)
        if store == "requests":
            s.kill(signal.SIGKILL)
            s.process.wait(LIMIT)
            print(f"{checks} checks, {failures} failures")
            return failures > 0
        s.stop()
        if postgres:
            test_postgres_takes_long(postgres)
        test_restart()
        test_killed(*killed)
        if not postgres:
            slow = Service("--reads", "executor", "--photo-max", "2")
            test_items(slow)
            test_pages(slow)
            slow.stop()
            test_sqlite_takes_long()
            test_sqlite_ends_a_transaction()
            test_slow_upload()
            test_restart_that_fails()
            test_restart_without_pid_file()
            test_nobody_waits_any_more()
            test_address_is_free()
            test_end()
            test_log_that_nobody_reads()
            test_mistakes()
    finally:
        for file in glob.glob(f"{work}/*.pid"):
            try:
                os.kill(int(open(file).read()), signal.SIGKILL)
            except (OSError, ValueError):
                pass
        if postgres:
            subprocess.run([f"{postgres.bin}/pg_ctl", "-D", f"{postgres.folder}/data", "-m", "immediate", "stop"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **postgres.user)
        shutil.rmtree(work, ignore_errors=True)
    print(f"{checks} checks, {failures} failures")
    return failures > 0


sys.exit(main())
