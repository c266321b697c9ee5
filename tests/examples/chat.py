# SPDX-License-Identifier: MIT
"""chat.py SERVER CLIENT: the chat programs from the outside.

The same session is held four times, with Hilo's server and asyncio's, and Hilo's clients and asyncio's: whoever is on
the other side cannot tell. asyncio's are in the folder asyncio; they are read from there, and get another port.
"""
import errno
import os
import pathlib
import pty
import signal
import subprocess
import sys
import tempfile

from outside import Program, check, connect, port_of, receive_all, rest, run

SERVER, CLIENT = sys.argv[1:3]
ASYNCIO = pathlib.Path(__file__).parent / "asyncio"
CONNECTED = "Conectado al servidor. Ingresa mensajes:"


def asyncio_program(name, port):
    text = (ASYNCIO / f"chat_{name}.py").read_text()
    check(text.count("8888") == 1, f"{name}: one port")
    return [sys.executable, "-c", text.replace("8888", str(port))]


def start_server(kind="hilo", port=0):
    server = Program(*(asyncio_program("server", port) if kind == "asyncio" else [SERVER, "--port", port]))
    server.port = port_of(server.line(), "Servidor corriendo en ")
    return server


def start_client(server, kind="hilo"):
    """A client that the server knows of, and its address there."""
    client = Program(*(asyncio_program("client", server.port) if kind == "asyncio" else
                       [CLIENT, "--host", "127.0.0.1", "--port", server.port]))
    client.expect(CONNECTED)
    client.address = port_of(server.line(), "Nueva conexión: ")
    return client


def join(server, **options):
    connection = connect(server.port, **options)
    address = port_of(server.line(), "Nueva conexión: ")
    check(address == connection.getsockname()[1], "the server names the client's address")
    return connection


def say(server, speaker, text, hearers):
    """Only the others hear it."""
    speaker.type(text + "\n")
    server.expect(f"Recibido de ('127.0.0.1', {speaker.address}): {text.strip()}")
    for hearer in hearers:
        hearer.expect(f"Recibido: {text.strip()}")


def session(server_kind, client_kinds):
    server = start_server(server_kind)
    a, b, c = (start_client(server, kind) for kind in client_kinds)
    say(server, a, "¡Hola a todos!", (b, c))
    say(server, b, "hola", (a, c))  # and a has heard nothing of itself
    say(server, c, "  con espacio \t", (a, b))
    say(server, a, "", (b, c))
    for client, kind in zip((b, a), (client_kinds[1], client_kinds[0])):
        client.end_input()
        server.expect(f"Conexión cerrada: ('127.0.0.1', {client.address})")
        out, _ = client.end(0 if kind == "hilo" else 1)  # asyncio's has an EOFError there
        check(out == [], f"no more than that: {out}")
    say(server, c, "¿hay alguien?", ())
    server.interrupt()
    server.end(-signal.SIGINT)
    if client_kinds[2] == "hilo":  # asyncio's goes on to wait for its input
        c.end(1)


def test_hilo_with_hilo():
    session("hilo", ["hilo"] * 3)


def test_asyncio_server_with_hilo_clients():
    session("asyncio", ["hilo"] * 3)


def test_hilo_server_with_asyncio_clients():
    session("hilo", ["asyncio"] * 3)


def test_hilo_server_with_both():
    session("hilo", ["asyncio", "hilo", "asyncio"])


def test_asyncio_with_asyncio():
    session("asyncio", ["asyncio"] * 3)


class Terminal:
    """A client at a terminal of its own."""

    def __init__(self, server):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(CLIENT, [CLIENT, "--port", str(server.port)])
        self.text = b""
        self.expect(CONNECTED)
        port_of(server.line(), "Nueva conexión: ")

    def expect(self, line):
        while b"\n" not in self.text:
            self.text += os.read(self.fd, 4096)
        got, self.text = self.text.split(b"\n", 1)
        check(got.decode().rstrip("\r") == line, f"the terminal shows {got!r}, not {line!r}")

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        try:
            while part := os.read(self.fd, 4096):  # or it would wait for its output
                self.text += part
        except OSError as error:
            check(error.errno == errno.EIO, error)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return status


def test_terminals():
    server = start_server()
    a, b, c = (Terminal(server) for _ in range(3))
    a.type("¡Hola a todos!\n")
    a.expect("¡Hola a todos!")  # what is typed
    b.expect("Recibido: ¡Hola a todos!")
    c.expect("Recibido: ¡Hola a todos!")
    b.type("sí\n")
    b.expect("sí")
    a.expect("Recibido: sí")
    c.expect("Recibido: sí")
    a.type("\x04")
    check(a.end() == 0, "the end of the input ends it")
    b.type("\x03")
    check(b.end() == -signal.SIGINT, "Ctrl-C ends it, whatever waits for a key")
    server.interrupt()
    server.end(-signal.SIGINT)
    check(c.end() == 1, "the end of the server ends it")


def test_slow_reader_stalls_nobody():
    server = start_server()
    a, b = join(server), join(server)
    slow = join(server, receive=4096)
    lines = b.makefile("rb")
    for number in range(100000):
        line = (f"{number} ".encode()) + b"x" * 60000 + b"\n"
        a.sendall(line)
        check(lines.readline() == line, f"line {number} reaches who reads")
        if not server.err.empty():
            break
    told = server.line(server.err)
    check(told == f"chat_server: ('127.0.0.1', {slow.getsockname()[1]}): does not read what others say, "
                  "and is disconnected", f"{told}")
    try:
        receive_all(slow)
    except ConnectionResetError:
        pass  # what it had not read is dropped
    a.sendall("¿sigues ahí?\n".encode())
    check(lines.readline() == "¿sigues ahí?\n".encode(), "the others go on")
    a.close()
    check(lines.read(0) == b"", "")
    server.interrupt()
    _, err = server.end(-signal.SIGINT)
    check(err == [], f"nothing else is told: {err}")


def test_what_is_no_text():
    server = start_server()
    a, b = join(server), join(server)
    lines = b.makefile("rb")
    a.sendall(b"\0 NUL and \xff\xfe\r\n")
    check(lines.readline() == b"\0 NUL and \xff\xfe\r\n", "bytes arrive as they are")
    server.expect(f"Recibido de ('127.0.0.1', {a.getsockname()[1]}): \0 NUL and \\xff\\xfe")
    a.sendall(b"the last one lacks its end")
    a.shutdown(1)
    check(lines.readline(26) == b"the last one lacks its end", "as asyncio sends it on")
    server.expect(f"Recibido de ('127.0.0.1', {a.getsockname()[1]}): the last one lacks its end")
    check(receive_all(a) == b"", "and closes")
    server.expect(f"Conexión cerrada: ('127.0.0.1', {a.getsockname()[1]})")
    a = join(server)
    a.sendall(b"x" * 70000)
    server.expect(f"Conexión cerrada: ('127.0.0.1', {a.getsockname()[1]})")
    check("64 KiB" in (told := server.line(server.err)) or "65536" in told, f"a line that is too long: {told}")
    a = join(server)
    a.sendall(b"y\n")
    check(lines.readline() == b"y\n", "the others go on")


def test_input_that_is_no_terminal():
    server = start_server()
    b = join(server)
    lines = b.makefile("rb")
    with tempfile.TemporaryFile() as file:
        file.write(b"one\ntwo")
        file.seek(0)
        client = Program(CLIENT, "--port", server.port, stdin=file)
        client.expect(CONNECTED)
        client.end(0)
    check((lines.readline(), lines.readline()) == (b"one\n", b"two\n"), "the last line gets its end")
    client = Program(CLIENT, "--port", server.port, stdin=subprocess.DEVNULL)
    client.expect(CONNECTED)
    client.end(0)
    client = Program(CLIENT, "--port", server.port)
    client.expect(CONNECTED)
    client.interrupt()  # while its input is open, and nothing comes
    client.end(-signal.SIGINT)


def test_interrupted_server_tells_who_was_there():
    server = start_server()
    a, b = join(server), join(server)
    server.interrupt()
    check((receive_all(a), receive_all(b)) == (b"", b""), "idle clients do not hold it up")
    out, err = server.end(-signal.SIGINT)
    check(sorted(out) == sorted(f"Conexión cerrada: ('127.0.0.1', {x.getsockname()[1]})" for x in (a, b)), f"{out}")
    check(err == [], f"{err}")


def test_command_lines():
    server = start_server()
    _, err = Program(SERVER, "--port", server.port).end(1)
    check(len(err) == 1 and f"127.0.0.1:{server.port}" in err[0] and "in use" in err[0], f"{err}")
    port = server.port
    server.interrupt()
    server.end(-signal.SIGINT)
    out, err = Program(CLIENT, "--port", port).end(1)
    check(out == [] and len(err) == 1 and f"127.0.0.1:{port}" in err[0], f"{err}")
    for program in (SERVER, CLIENT):
        out, err = Program(program, "--help").end(0)
        check(out[0].startswith("Usage: ") and err == [], f"{out} {err}")
        for wrong in (["--port"], ["--port", "x"], ["--port", "-1"], ["--port", "65536"], ["--colour"],
                      ["--clients", "3"], ["--port", "9" * 40]):
            out, err = Program(program, *wrong).end(1)
            check(out == [] and len(err) == 1 and wrong[0] in err[0], f"{wrong}: {out} {err}")


run([test_hilo_with_hilo, test_asyncio_server_with_hilo_clients, test_hilo_server_with_asyncio_clients,
     test_hilo_server_with_both, test_asyncio_with_asyncio, test_terminals, test_slow_reader_stalls_nobody,
     test_what_is_no_text, test_input_that_is_no_terminal, test_interrupted_server_tells_who_was_there,
     test_command_lines])
