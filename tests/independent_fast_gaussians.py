"""Numbers of fast sets of Gaussians of the mcodec format, written from format-spec/SPEC.md section 7.15 alone; for independent_gaussians.py."""
from functools import cache
from pathlib import Path

from independent_values import Cursor, need

TABLES = Path(__file__).resolve().parent.parent / "format-spec/coding/src/gaussians/fast.tables"
# name: number of tables, symbols of a table
GROUPS = {
    "small": (60, lambda t: 2 + t // 5),
    "large": (5, lambda t: 16),
    "sum": (187, lambda t: 64),
    "difference": (96, lambda t: 16),
    "angle": (40, lambda t: 2 ** min(t // 5 + 1, 6)),
    "colours": (320, lambda t: 32),
}
ROLES = ("luma", "U", "V", "other")


@cache
def tables():
    """name: [[(first slot, frequency) of each symbol] of each table]."""
    cursor, groups = Cursor(TABLES.read_bytes()), {}
    for name, (count, symbols) in GROUPS.items():
        groups[name] = []
        for table in range(count):
            start, slots = 0, []
            for _ in range(symbols(table)):
                frequency = cursor.varint()
                slots.append((start, frequency))
                start += frequency
            assert start == 4096 and all(f for _, f in slots)
            groups[name].append(slots)
    cursor.done("tables")
    return groups


class FastStream:
    """A payload: raw bits and symbols."""

    def __init__(self, payload):
        self.is_empty = not payload
        self.bits, self.bit, self.states, self.words, self.turn = b"", 0, [1 << 16] * 2, [], 0
        if payload:
            cursor = Cursor(payload)
            self.bits = cursor.take(cursor.varint())
            self.states = [cursor.uint(4), cursor.uint(4)]
            need(min(self.states) >= 1 << 16, "state of a stream")
            need((cursor.end - cursor.at) % 2 == 0, "length of a stream")
            while cursor.at < cursor.end:
                self.words.append(cursor.uint(2))
        self.words.reverse()

    def raw(self, n):
        if self.is_empty:
            return 0
        need(self.bit + n <= 8 * len(self.bits), "raw bits cut off")
        value = int.from_bytes(self.bits, "little") >> self.bit & (1 << n) - 1
        self.bit += n
        return value

    def symbol(self, slots):
        x = self.states[self.turn]
        slot = x % 4096
        symbol = next(s for s, (start, f) in enumerate(slots) if start <= slot < start + f)
        start, f = slots[symbol]
        x = f * (x >> 12) + slot - start
        if x < 1 << 16:
            need(self.words, "words cut off")
            x = x << 16 | self.words.pop()
        self.states[self.turn], self.turn = x, 1 - self.turn
        return symbol

    def close(self):
        need(self.states == [1 << 16] * 2 and not self.words, "end of a stream")
        need(-(-self.bit // 8) == len(self.bits) and int.from_bytes(self.bits, "little") >> self.bit == 0, "raw bits left over")


class FastNumber:
    """A number of some name under the contexts that section 7.7 gives it."""

    def __init__(self, io, name, contexts):
        self.io, self.name, self.c = io, name, contexts

    def slots(self):
        c = self.c
        if self.name in ROLES:
            p = c[1] // 2 % 16
            return tables()["colours"][5 * (16 * ROLES.index(self.name) + c[0] // 5) + sum(p >= least for least in (1, 3, 5, 9))]
        table = {
            "large": lambda: c[1],
            "sum": lambda: 17 * (c[2] // 66) + min(c[1] // 4, 16),
            "difference": lambda: 16 * (c[1] % 16 // 3) + min(c[0] // 4, 15),
            "angle": lambda: 5 * (c[0] // 8 - 1) + c[0] % 8,
        }[self.name]()
        return tables()[self.name][table]

    def unsigned(self):
        slots = self.slots()
        symbol = self.io.symbol(slots)
        if symbol + 1 < len(slots):
            return symbol
        length = self.io.raw(5)
        need(length <= 25, "escape too long")
        return symbol + (1 << length) + self.io.raw(length) - 1

    def signed(self):
        w = self.unsigned()
        return w // 2 if w % 2 == 0 else -(w + 1) // 2

    def tree(self, depth):
        return self.io.raw(depth) if self.name == "count" else self.io.symbol(self.slots())

    def search(self, n, place):
        return self.io.symbol(tables()["small"][5 * (n - 1) + self.c[1] % 5])
