# SPDX-License-Identifier: MIT
"""
hilo-gdb.py - shows the frames of suspended fibers in gdb, in a live process and in a core file.

    (gdb) source hilo-gdb.py
    (gdb) hilo bt FIBER [bt's options]

FIBER is an expression: the address of a struct fiber, of a task ((struct hilo_task *)TASK)->fiber.
Needs gdb with Python. The core file must be the kernel's: gdb's own gcore cannot read the guards and
leaves out the stacks that lie behind the first of them.

Registers are not touched: while `bt` runs, an unwinder pretends that the innermost frame was called
from where the fiber left off. A running fiber needs none of this, plain `bt` ends at its entry.
"""
import gdb
from gdb.unwinder import Unwinder, register_unwinder

REGISTERS = {
    "i386:x86-64": ("rsp", "rbp", "rip"),
    "aarch64": ("sp", "x29", "pc"),
}


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class FiberUnwinder(Unwinder):
    """Makes the three words of a suspended context the caller of the innermost frame."""

    def __init__(self):
        super().__init__("hilo-fiber")
        self.words = None
        self.innermost = None

    def __call__(self, pending):
        if self.words is None:
            return None
        names = REGISTERS[pending.architecture().name()]
        here = tuple(int(pending.read_register(name)) for name in names)
        if self.innermost is None:
            self.innermost = here
        if here != self.innermost:
            return None
        info = pending.create_unwind_info(
            FrameId(pending.read_register(names[0]), pending.read_register(names[2])))
        for name, word in zip(names, self.words):
            kind = pending.read_register(name).type
            info.add_saved_register(name, gdb.Value(word).cast(kind))
        return info


def read_context(address):
    """The stack pointer, frame pointer and place to go on of the fiber at address."""
    try:
        fields = [field.name for field in gdb.lookup_type("struct context").fields()]
        if "ip" not in fields:
            raise gdb.GdbError("this build switches with ucontext: its contexts are not understood here")
    except gdb.error:
        pass  # no debug information: the layout is known
    word = gdb.lookup_type("unsigned long")
    words = gdb.Value(address).cast(word.array(2).pointer()).dereference()
    return tuple(int(words[i]) for i in range(3))


class HiloCommand(gdb.Command):
    """Commands for programs that use Hilo."""

    def __init__(self):
        super().__init__("hilo", gdb.COMMAND_STACK, prefix=True)


class HiloBacktraceCommand(gdb.Command):
    """Show the frames of a suspended fiber: hilo bt FIBER [options of bt]"""

    def __init__(self, unwinder):
        super().__init__("hilo bt", gdb.COMMAND_STACK)
        self.unwinder = unwinder

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("hilo bt FIBER: the address of a struct fiber is needed")
        fiber, _, options = argument.partition(" -")
        address = int(gdb.parse_and_eval(fiber))
        name = gdb.newest_frame().architecture().name()
        if name not in REGISTERS:
            raise gdb.GdbError("hilo bt: not for " + name)
        self.unwinder.words = read_context(address)
        self.unwinder.innermost = None
        gdb.invalidate_cached_frames()
        try:
            text = gdb.execute("bt" + (" -" + options if options else ""), from_tty, to_string=True)
        finally:
            self.unwinder.words = None
            gdb.invalidate_cached_frames()
        start = text.find("#1 ")
        gdb.write("fiber 0x%x, suspended:\n%s" % (address, text[start:] if start >= 0 else text))


unwinder = FiberUnwinder()
register_unwinder(None, unwinder, replace=True)
HiloCommand()
HiloBacktraceCommand(unwinder)
