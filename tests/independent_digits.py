"""What digits of tokens tell of the numbers of a grid, written from format-spec/SPEC.md sections 7.12 and 7.12.1 alone; for independent_grids.py."""
import math
import struct
from fractions import Fraction

from independent_values import Cursor, need


class Digits:
    """[7.12] What digits of tokens tell of the numbers of a grid."""

    def __init__(self, data, grid, tokens):
        cursor = Cursor(data)
        need(cursor.uint(1) == 1, "form of digits")
        self.counts = [cursor.varint() for _ in range(self.some(cursor, 4096))]
        need(min(self.counts) >= 1 and sum(self.counts) <= 4096, "digits of tokens")
        tables = [self.table(cursor) for _ in range(self.some(cursor, sum(self.counts)))]
        places = [cursor.varint() for _ in range(sum(self.counts))]
        cursor.done("digits of tokens")
        need(max(places) < len(tables) and len(places) == grid.channels, "digits of other channels")
        self.tables, self.grid = [tables[p] for p in places], grid
        rest = iter(self.tables)
        for count in self.counts:
            product = 1
            for _ in range(count):
                product *= len(next(rest)[0]) + 1
            need(product < 1 << 64, "levels of tokens")
        self.take_apart(tokens)

    @staticmethod
    def some(cursor, most):
        count = cursor.varint()
        need(1 <= count <= most, "digits of tokens")
        return count

    @staticmethod
    def table(cursor):
        levels, join = cursor.varint(), cursor.uint(1)
        need(2 <= levels <= 256, "levels of a digit")
        lists = []
        for count in (levels - 1, levels):
            last, numbers = 0, []
            for _ in range(count):
                last += cursor.svarint()
                need(-1 << 17 <= last < 1 << 17, "number of a digit")
                numbers.append(last)
            lists.append(numbers)
        need(lists[0] == sorted(lists[0]), "numbers that descend")
        return lists[0], join

    def take_apart(self, tokens):
        grid, self.digits = self.grid, {}
        plane, k = grid.height * grid.width, len(self.counts)
        size = len(tokens) // (grid.frames * plane * k)
        need(size in (1, 2, 4, 8) and size * grid.frames * plane * k == len(tokens), "tokens of another shape")
        for t in range(grid.frames):
            for p in range(plane):
                y, x = divmod(p, grid.width)
                c = 0
                for i, count in enumerate(self.counts):
                    at = ((t * k + i) * plane + p) * size
                    token = int.from_bytes(tokens[at:at + size], "little")
                    for _ in range(count):
                        token, self.digits[t, x, y, c] = divmod(token, len(self.tables[c][0]) + 1)
                        c += 1
                    need(token == 0, "a token beyond its levels")

    def limit(self, low, count):
        self.low, self.count = low, count
        for place in self.digits:
            lo, hi = self.ends(*place)
            need(lo < hi, "a digit that stands for no number")

    def ends(self, t, x, y, c):
        (firsts, join), d = self.tables[c], self.digits[t, x, y, c]
        lo = firsts[d - 1] - self.low if d else 0
        hi = firsts[d] + join - self.low if d < len(firsts) else self.count
        return max(0, min(self.count, lo)), max(0, min(self.count, hi))


class Level:
    """[7.12.1] What numbers of a coarser grid tell of those of a finer one."""

    def __init__(self, data, grid, numbers):
        need(data[:1] == b"\1" and len(data) >= 6, "form of a level")
        (self.step,), self.halvings = struct.unpack("<f", data[1:5]), data[5]
        need(0 < self.step < float("inf") and self.halvings <= 15, "step of a level")
        need((len(data) - 6) % 8 == 0 and len(data) > 6, "length of statistics")
        self.statistics, self.grid, self.found = list(struct.iter_unpack("<ff", data[6:])), grid, {}
        need(all(abs(m) < float("inf") and 0 < d < float("inf") for m, d in self.statistics), "statistics")
        need(len(self.statistics) == grid.channels and len(numbers) == 2 * grid.count, "a level of another shape")
        self.values = grid.is_float and not grid.quantised
        need(self.values == (self.halvings == 0), "a level that does not tell of such numbers")
        self.numbers, plane = {}, grid.height * grid.width
        for at, (number,) in enumerate(struct.iter_unpack("<h", numbers)):
            (t, c), p = divmod(at // plane, grid.channels), at % plane
            y, x = divmod(p, grid.width)
            self.numbers[t, x, y, c] = number

    def number(self, value, c):
        mean, deviation = self.statistics[c]
        quotient = (value - mean) / (self.step * deviation)
        return (1 if quotient > 0 else -1) * math.floor(abs(Fraction(quotient)) + Fraction(1, 2))

    def range(self, number, c):
        """The first of the finer numbers, and the one after the last."""
        if not self.values:
            # Indices of integers begin with the lowest.
            offset = 0 if self.grid.quantised or self.grid.element not in (15, 16) else self.grid.middle
            return 2 * number + offset, 2 * number + 2 + offset
        if (number, c) not in self.found:
            lo, hi = (self.first(n, c) for n in (number, number + 1))
            shift = 16 if self.grid.element == 2 else 0
            self.found[number, c] = (lo >> shift, (hi - 1 >> shift) + 1) if lo < hi else (0, 0)
        return self.found[number, c]

    def first(self, wanted, c):
        """The first of the finite elements, in their order, whose number is at least what is wanted."""
        from independent_grids import FLOATS, magnitude_value

        element = self.grid.element
        exponent, mantissa = FLOATS[element][:2]
        half = 1 << 31 if element == 2 else self.grid.middle
        largest = {2: 0x7F7FFFFF, 5: 0x7E, 7: 0x7F, 8: 0x7F}.get(element, (((1 << exponent) - 1) << mantissa) - 1)

        def value(key):
            magnitude = key - half if key >= half else half - 1 - key
            if element == 2:
                size = struct.unpack("<f", magnitude.to_bytes(4, "little"))[0]
            else:
                size = float(magnitude_value(magnitude, element))
            return size if key >= half else -size

        low, high = half - 1 - largest, half + largest + 1
        while low < high:
            middle = (low + high) // 2
            if self.number(value(middle), c) >= wanted:
                high = middle
            else:
                low = middle + 1
        return low

    def limit(self, low, count):
        self.low, self.count = low, count
        for place in self.numbers:
            lo, hi = self.ends(*place)
            need(lo < hi, "a number of a level that leaves nothing")

    def ends(self, t, x, y, c):
        lo, hi = self.range(self.numbers[t, x, y, c], c)
        return max(0, min(self.count, lo - self.low)), max(0, min(self.count, hi - self.low))
