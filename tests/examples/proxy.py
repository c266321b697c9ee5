# SPDX-License-Identifier: MIT
"""proxy.py ECHO PROXY: the echo server and the proxy from the outside."""
import re
import signal
import socket
import struct
import sys
import threading

from outside import Program, check, connect, receive_all, run, sockets_of

ECHO, PROXY = sys.argv[1:3]
MEGABYTES = bytes(range(256)) * 4096 * 8


def start(program, *arguments):
    server = Program(program, "--port", 0, *arguments)
    found = re.fullmatch(r"\w+: listens at 127\.0\.0\.1:(\d+)", server.line() or "")
    check(found, "it says where it listens")
    server.port = int(found.group(1))
    return server


def start_proxy(port, *arguments):
    return start(PROXY, *arguments, f"127.0.0.1:{port}")


def stop(program):
    program.interrupt()
    return program.end(-signal.SIGINT)


def exchange(port, data):
    """Send it all, end that direction, and receive to the end at the same time."""
    connection = connect(port)
    sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
    sender.start()
    got = receive_all(connection)
    sender.join()
    connection.close()
    return got


def totals(out):
    found = re.fullmatch(r"proxy: (\d+) clients, (\d+) at a time at most, (\d+) without a target, (\d+) failed, "
                         r"(\d+) bytes up, (\d+) down", out[-1])
    check(found, f"the totals: {out}")
    return [int(number) for number in found.groups()]


def listener():
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    made.listen()
    return made, made.getsockname()[1]


def is_reset(connection):
    try:
        while connection.recv(65536):
            pass
        return False
    except ConnectionResetError:
        return True


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_echo():
    echo = start(ECHO)
    check(exchange(echo.port, MEGABYTES) == MEGABYTES, "the same bytes")
    check(exchange(echo.port, b"") == b"", "none of none")
    out, err = stop(echo)
    check(out == [f"echo: 2 clients, 1 at a time at most, {len(MEGABYTES)} bytes"] and err == [], f"{out} {err}")


def test_bytes_and_ends_are_passed_on():
    echo = start(ECHO)
    proxy = start_proxy(echo.port)
    before = sockets_of(proxy)
    check(exchange(proxy.port, MEGABYTES) == MEGABYTES, "the same bytes")
    check(exchange(proxy.port, b"hello") == b"hello", "a few, after the end of which the answer comes")
    check(exchange(proxy.port, b"") == b"", "none of none")
    while sockets_of(proxy) > before:
        pass  # both ends are closed a moment later
    out, err = stop(proxy)
    check(totals(out) == [3, totals(out)[1], 0, 0, len(MEGABYTES) + 5, len(MEGABYTES) + 5], f"{out}")
    check(err == [], f"{err}")


def test_end_of_the_target_is_passed_on_first():
    made, port = listener()
    proxy = start_proxy(port)
    client = connect(proxy.port)
    target, _ = made.accept()
    target.sendall(b"bye")
    target.shutdown(socket.SHUT_WR)
    check(receive_all(client) == b"bye", "it has ended its direction")
    client.sendall(b"and yet")
    check(target.recv(100) == b"and yet", "the other one is open")
    client.close()
    check(target.recv(100) == b"", "until it is ended as well")
    out, err = stop(proxy)
    check(totals(out) == [1, 1, 0, 0, 7, 3] and err == [], f"{out} {err}")


def test_target_that_answers_and_hangs_up():
    """What it has said comes through, though it does not want to hear any more."""
    made, port = listener()
    proxy = start_proxy(port)
    client = connect(proxy.port)
    target, _ = made.accept()
    client.sendall(b"a long request")
    check(target.recv(100) == b"a long request", "")
    target.sendall(b"no")
    target.close()
    check(client.recv(100) == b"no", "the answer")
    check(receive_all(client) == b"", "and the end")
    try:
        while True:
            client.sendall(b"more of it")
    except (BrokenPipeError, ConnectionResetError):
        pass
    out, err = stop(proxy)
    check(totals(out)[:4] == [1, 1, 0, 0] and err == [], f"{out} {err}")


def test_resets_are_passed_on():
    made, port = listener()
    proxy = start_proxy(port)
    for who in ("client", "target"):
        client = connect(proxy.port)
        target, _ = made.accept()
        client.sendall(b"x")
        check(target.recv(1) == b"x", "they are connected")
        reset(client if who == "client" else target)
        check(is_reset(target if who == "client" else client), f"a reset of the {who}")
    out, err = stop(proxy)
    check(totals(out) == [2, totals(out)[1], 0, 2, 2, 0], f"{out}")
    check(len(err) == 2 and all(re.match(r"proxy: 127\.0\.0\.1:\d+: ", line) for line in err), f"{err}")


def test_target_that_is_not_there():
    made, port = listener()
    made.close()
    proxy = start_proxy(port)
    check(is_reset(connect(proxy.port)), "nobody answers")
    out, err = stop(proxy)
    check(totals(out) == [1, 1, 1, 0, 0, 0], f"{out}")
    check(len(err) == 1 and f"127.0.0.1:{port}" in err[0], f"{err}")


def test_clients_beyond_the_limit_wait():
    echo = start(ECHO)
    proxy = start_proxy(echo.port, "--clients", 2)
    first = [connect(proxy.port) for _ in range(2)]
    for connection in first:
        connection.sendall(b"x")
        check(connection.recv(1) == b"x", "it is served")
    third = connect(proxy.port)
    third.sendall(b"y")
    for connection in first:
        connection.sendall(b"z")
        check(connection.recv(1) == b"z", "it is served on")
    first[0].close()
    check(third.recv(1) == b"y", "its turn has come")
    third.close()
    first[1].close()
    out, _ = stop(proxy)
    check(totals(out)[:2] == [3, 2], f"{out}")


def test_end_lets_clients_end():
    echo = start(ECHO)
    proxy = start_proxy(echo.port, "--drain", 86400)
    client = connect(proxy.port)
    client.sendall(b"x")
    check(client.recv(1) == b"x", "it is served")
    proxy.interrupt()
    while True:
        try:
            connect(proxy.port).close()
        except (ConnectionRefusedError, ConnectionResetError):
            break  # nobody is accepted any more
    client.sendall(b"y")
    check(client.recv(1) == b"y", "and served on")
    client.close()
    out, _ = proxy.end(-signal.SIGINT)
    check(re.fullmatch(r"proxy: at the end [1-9]\d* clients were done, 0 were cancelled, 0 aborted", out[0]), f"{out}")


def test_end_cuts_off_who_does_not_end():
    echo = start(ECHO)
    proxy = start_proxy(echo.port, "--drain", 0)
    client = connect(proxy.port)
    client.sendall(b"x")
    check(client.recv(1) == b"x", "it is served")
    proxy.interrupt()
    check(is_reset(client), "it can tell that from an end")
    out, _ = proxy.end(-signal.SIGINT)
    check(out[0] == "proxy: at the end 0 clients were done, 1 were cancelled, 0 aborted", f"{out}")


def test_command_lines():
    made, port = listener()
    for wrong, told in (([], "TARGET"), (["nowhere"], "nowhere"), ([":1"], ":1"), (["host:"], "host:"),
                        (["host:x"], "host:x"), (["host:65536"], "host:65536"), (["--drain"], "--drain"),
                        (["--drain", "soon", "a:1"], "soon")):
        out, err = Program(PROXY, *wrong).end(1)
        check(out == [] and len(err) == 1 and told in err[0], f"{wrong}: {out} {err}")
    for command in ([ECHO], [PROXY, "127.0.0.1:1"]):
        out, err = Program(*command, "--port", port).end(1)
        check(out == [] and len(err) == 1 and f"127.0.0.1:{port}" in err[0] and "in use" in err[0], f"{err}")
        out, err = Program(command[0], "--help").end(0)
        check(out[0].startswith("Usage: ") and err == [], f"{out} {err}")


run([test_echo, test_bytes_and_ends_are_passed_on, test_end_of_the_target_is_passed_on_first,
     test_target_that_answers_and_hangs_up, test_resets_are_passed_on, test_target_that_is_not_there,
     test_clients_beyond_the_limit_wait, test_end_lets_clients_end, test_end_cuts_off_who_does_not_end,
     test_command_lines])
