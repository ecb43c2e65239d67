"""Fast grids (coding 16), written from format-spec/SPEC.md section 7.9 alone; for independent_grids.py."""
import struct

from independent_labelled import Classes
from independent_values import BitReader, Unsupported, need


def decode_fast(grid):
    cursor, channels = grid.cursor, grid.channels
    base = cursor.uint(1)
    need(base <= 9, "least degree")
    modes = BitReader(cursor.take((2 * grid.frames * channels + 7) // 8))
    tables = Classes(cursor.take(cursor.varint()))
    plain = len(tables.table) == 49 and not tables.signs and tables.m == 0 and tables.exponent == 8 and tables.mantissa == 7
    need(plain and not tables.offset.any() and not any(tables.frequency[tables.symbol >= 60] > 0), "classes of a grid")
    raw = BitReader(cursor.take(cursor.varint()))
    stream = Lanes(cursor, tables)
    values, wrong, out = {}, {}, []
    for t in range(grid.frames):
        mode = [modes.bits(2) for _ in range(channels)]
        for y in range(grid.height):
            keys = [(x, c) for x in range(grid.width) for c in range(channels)]
            classes = [fast_class(wrong, t, x, y, c, base) for x, c in keys]
            symbols = stream.symbols(classes + [48] * (-len(classes) % stream.lanes))
            for (x, c), s in zip(keys, symbols):
                z = s
                if s >= 8:
                    n = 1 + (s - 8) // 4
                    z = (4 + (s - 8) % 4 << n) + raw.bits(n)
                residual = wrap16((z >> 1) ^ -(z & 1))
                value = wrap16(fast_guess(grid, values, t, x, y, c, mode[c]) + residual)
                values[t, x, y, c], wrong[t, x, y, c] = value, abs(residual)
                out.append(value if grid.quantised else value + grid.middle)
    modes.close("modes")
    need(raw.close("raw bits") == len(raw.data), "raw bits left over")
    stream.done()
    return out


def wrap16(x):
    return (x + 0x8000) % 0x10000 - 0x8000


def fast_class(wrong, t, x, y, c, base):
    def r(t, x, y):
        return wrong.get((t, x, y, c), 0)

    a = (2 * r(t, x, y - 1) + r(t, x - 1, y - 1) + r(t, x + 1, y - 1) + r(t, x, y - 2) + 2 * r(t - 1, x, y) + r(t - 1, x - 1, y) +
         r(t - 1, x + 1, y) + r(t - 1, x, y + 1) + 1)
    k = a.bit_length() - 1
    degree = 2 * k + (a >> k - 1 & 1 if k else 0) - base
    return min(23, max(0, degree)) + (24 if t else 0)


def fast_guess(grid, values, t, x, y, c, mode):
    left, up, corner, _ = grid.neighbours(x, y)

    def at(t, place):
        return values.get((t, *place, c), 0) if place else 0

    l, u, ul, p = at(t, left), at(t, up), at(t, corner), at(t - 1, (x, y))
    change = l - at(t - 1, left) + u - at(t - 1, up)
    return (p, p + (change >> 1), (3 * (l + u) - 2 * ul + 2) >> 2, p + (change >> 2))[mode]


class Lanes:
    """A stream of symbols under classes."""

    def __init__(self, cursor, tables):
        self.tables, log = tables, cursor.uint(1)
        need(log <= 6, "lane count", Unsupported)
        self.lanes = 1 << log
        head = BitReader(cursor.data, cursor.at, cursor.end)
        lengths = [head.bits(4) for _ in range(self.lanes)]
        self.states = [1 << 16 + n | head.bits(16 + n) for n in lengths]
        cursor.take(head.close("states"))
        rest = cursor.rest()
        need(len(rest) % 2 == 0, "half a rANS word")
        self.words, self.at = [w for (w,) in struct.iter_unpack("<H", rest)], 0

    def symbols(self, classes):
        t, out, size = self.tables, [], 1 << self.tables.precision
        for i, class_of in enumerate(classes):
            x = self.states[i % self.lanes]
            slot = (int(t.table[class_of]) << t.precision) + x % size
            out.append(int(t.symbol[slot]))
            x = int(t.frequency[slot]) * (x >> t.precision) + int(t.bias[slot])
            if x < 1 << 16:
                need(self.at < len(self.words), "rANS words run out")
                x, self.at = x << 16 | self.words[self.at], self.at + 1
            self.states[i % self.lanes] = x
        return out

    def done(self):
        need(self.at == len(self.words) and all(x == 1 << 16 for x in self.states), "rANS stream does not end as it must")
