# SPDX-License-Identifier: MIT
"""Programs as their users see them: lines that they print, how they end. Waits for lines and ends, never for time."""
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading

programs = []


class Program:
    """A program with its output and its errors as lines, which threads collect."""

    def __init__(self, *command, stdin=subprocess.PIPE):
        self.process = subprocess.Popen([str(part) for part in command], stdin=stdin, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, restore_signals=True, preexec_fn=default_sigint)
        self.out, self.err = queue.Queue(), queue.Queue()
        for pipe, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            threading.Thread(target=collect, args=(pipe, lines), daemon=True).start()
        programs.append(self)

    def line(self, lines=None):
        """The next line of the output, or of `lines`; None at its end."""
        return (lines or self.out).get()

    def expect(self, text):
        line = self.line()
        check(line == text, f"{self.process.args[:2]} says {line!r}, not {text!r}")

    def type(self, text):
        self.process.stdin.write(text if isinstance(text, bytes) else text.encode())
        self.process.stdin.flush()

    def end_input(self):
        self.process.stdin.close()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def end(self, status):
        """Wait for its end, with this status; what else it has printed, and its errors."""
        got = self.process.wait()
        out, err = rest(self.out), rest(self.err)
        check(got == status, f"{self.process.args} ended with {got}, not {status}: {out} {err}")
        return out, err


def default_sigint():
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def collect(pipe, lines):
    for line in pipe:
        lines.put(line.decode(errors="backslashreplace").rstrip("\n"))
    lines.put(None)


def rest(lines):
    found = []
    while (line := lines.get()) is not None:
        found.append(line)
    lines.put(None)
    return found


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def port_of(line, before):
    """The port in a line that ends in an address as Python prints it."""
    found = re.fullmatch(re.escape(before) + r"\('127\.0\.0\.1', (\d+)\)", line or "")
    check(found, f"no address: {line!r}")
    return int(found.group(1))


def connect(port, receive=None):
    made = socket.socket()
    if receive:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    made.connect(("127.0.0.1", port))
    return made


def receive_all(connection):
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def sockets_of(program):
    """How many a program has open."""
    folder, found = f"/proc/{program.process.pid}/fd", 0
    for name in os.listdir(folder):
        try:
            found += os.readlink(f"{folder}/{name}").startswith("socket:")
        except FileNotFoundError:
            pass  # closed meanwhile
    return found


def run(tests):
    """Run them all; the status to exit with. Whatever was started is ended."""
    failed = 0
    for test in tests:
        try:
            test()
            print(f"PASS: {test.__name__}")
        except AssertionError as error:
            failed += 1
            print(f"FAIL: {test.__name__}: {error}")
        for program in programs:
            program.process.kill()
            program.process.wait()
        programs.clear()
    sys.exit(failed > 0)
