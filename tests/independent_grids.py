"""Grids (codings 16 and 17), written from format-spec/SPEC.md sections 7.8, 7.10 and 7.12 alone; for independent_coding.py. Fast grids: independent_fast_grids.py; tokens:
independent_tokens.py."""
import copy
import struct
from fractions import Fraction
from functools import lru_cache

from independent_digits import Digits, Level
from independent_fast_grids import decode_fast
from independent_values import Cursor, Unsupported, need

STATISTICS, DIGITS, LEVEL = 16, 17, 48  # entry kinds
# id: exponent bits, mantissa bits, bias, bytes; an F32 by its upper half
FLOATS = {2: (8, 7, 127, 4), 3: (5, 10, 15, 2), 4: (8, 7, 127, 2), 5: (4, 3, 7, 1), 6: (5, 2, 15, 1), 7: (4, 3, 8, 1), 8: (5, 2, 16, 1)}
INTEGERS = {15: 2, 16: 1, 20: 2, 21: 1}
SIGNED = (15, 16)
V = 1 << 26
WORD = 0xFFFFFFFF
TRUST = (0, 4, 6, 8, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15)


def clip(x, most):
    return max(-most, min(most, x))


def toward_zero(a, b):
    return -(-a // b) if a < 0 else a // b


def read_statistics(data):
    need(len(data) % 8 == 0 and 1 <= len(data) // 8 <= 4096, "length of statistics")
    pairs = list(struct.iter_unpack("<ff", data))
    need(all(abs(m) < float("inf") and 0 < d < float("inf") for m, d in pairs), "statistics")
    return pairs


def nearest_float(x, element):
    """The bits of the float nearest to a binary64."""
    if element == 2:
        bits = struct.pack("<d", x)
        try:
            return struct.pack("<f", x)
        except OverflowError:
            return struct.pack("<I", (bits[7] >> 7) << 31 | 0x7F7FFFFF)
    exponent, mantissa, bias, size = FLOATS[element]
    largest = {5: 0x7E, 7: 0x7F, 8: 0x7F}.get(element, (((1 << exponent) - 1) << mantissa) - 1)
    value, low, high = Fraction(abs(x)), 0, largest
    while low < high:  # the greatest magnitude that is at most the value
        middle = (low + high + 1) // 2
        low, high = (middle, high) if magnitude_value(middle, element) <= value else (low, middle - 1)
    if low < largest:
        twice = 2 * value - magnitude_value(low, element) - magnitude_value(low + 1, element)
        low += twice > 0 or (twice == 0 and low & 1)
    minus = struct.pack("<d", x)[7] >> 7 and (low > 0 or element not in (7, 8))
    return (low | minus << (exponent + mantissa)).to_bytes(size, "little")


def magnitude_value(m, element):
    exponent, mantissa, bias, _ = FLOATS[element]
    e, f = m >> mantissa, m & ((1 << mantissa) - 1)
    e, f = (e, f | 1 << mantissa) if e else (1, f)
    return Fraction(f) * Fraction(2) ** (e - bias - mantissa)


class Frames:
    """Sizes, and who is beside whom."""

    def neighbours(self, x, y):
        """[7.8.1] left, up, up-left, up-right as (x, y), or None."""
        left, up = ((x - 1, y) if x else None), ((x, y - 1) if y else None)
        left, up = left or up, up or left
        corner = (x - 1, y - 1) if x and y else up
        return left, up, corner, ((x + 1, y - 1) if y and x + 1 < self.width else up)

    def around(self, x, y):
        w, e, n, s = max(x - 1, 0), min(x + 1, self.width - 1), max(y - 1, 0), min(y + 1, self.height - 1)
        return [(w, y), (e, y), (x, n), (x, s), (w, n), (e, n), (w, s), (e, s)]


class Grid(Frames):
    """[7.8]"""

    def __init__(self, payload, length, dependency_bytes, tokens=b""):
        cursor = self.cursor = Cursor(payload)
        need(cursor.uint(1) == 1, "form of a grid", Unsupported)
        self.element, flags = cursor.uint(1), cursor.uint(1)
        need(self.element in FLOATS or self.element in INTEGERS, f"element {self.element} of a grid", Unsupported)
        need(flags in (0, 1, 3, 4, 5, 7, 8, 9, 11), "flags of a grid")
        self.beside = bool(flags & 8)
        self.is_float = self.element in FLOATS
        self.size = FLOATS[self.element][3] if self.is_float else INTEGERS[self.element]
        self.middle = 0x80 if self.size == 1 else 0x8000
        self.channels, self.height, self.width = (cursor.varint() for _ in range(3))
        frame = self.channels * self.height * self.width * self.size
        need(0 < frame <= length and length % frame == 0 and self.channels <= 4096, "shape of a grid")
        self.frames, self.count = length // frame, length // self.size
        self.quantised, self.low_halves, self.digits = bool(flags & 1), b"", None
        if flags & 4:
            kind, data = dependency_bytes(cursor.varint(), (DIGITS, LEVEL))
            self.digits = (Digits if kind == DIGITS else Level)(data, self, tokens)
        if flags & 1:
            need(self.is_float, "quantised integers")
            (self.step,) = struct.unpack("<f", cursor.take(4))
            need(0 < self.step < float("inf"), "step of a grid")
            stored = dependency_bytes(cursor.varint(), STATISTICS) if flags & 2 else cursor.take(8 * self.channels)
            self.statistics = read_statistics(stored)
            need(len(self.statistics) == self.channels, "statistics of other channels")
        elif self.element == 2:
            self.low_halves = cursor.take(2 * self.count)

    def put(self, numbers):
        """Elements from the numbers, which are indices or (quantised) counts of steps, by frame, position, channel."""
        plane, out = self.height * self.width, [b""] * self.count
        for at, number in enumerate(numbers):
            place, c = divmod(at, self.channels)
            t, p = divmod(place, plane)
            out[(t * self.channels + c) * plane + p] = self.bytes_of(number, c, at)
        return b"".join(out)

    def bytes_of(self, number, c, at):
        if self.quantised:
            mean, deviation = self.statistics[c]
            return nearest_float(mean + number * (self.step * deviation), self.element)
        if not self.is_float:
            return ((number - self.middle if self.element in SIGNED else number) % (2 * self.middle)).to_bytes(self.size, "little")
        bits = number - self.middle if number >= self.middle else 2 * self.middle - 1 - number
        if self.element == 2:
            return self.low_halves[2 * at:2 * at + 2] + bits.to_bytes(2, "little")
        return bits.to_bytes(self.size, "little")


def decode_grid(payload, length, coding, dependency_bytes, tokens=b""):
    if payload[:1] == b"\0":
        need(len(payload) - 1 == length, "length of a stored chunk")
        return payload[1:]
    if coding == 18:
        from independent_tokens import decode_tokens

        return decode_tokens(payload, length, dependency_bytes)
    grid = Grid(payload, length, dependency_bytes, tokens)
    need(coding == 17 or not (grid.digits or grid.beside), "a fast grid that is refined, or asks what is beside")
    return grid.put(decode_fast(grid) if coding == 16 else Dense(grid).decode())


# ------------------------------------------------------------------------------------------------------------ [7.10] dense grids


@lru_cache(None)
def logistic_points():
    e, points = 1 << 63, []
    for _ in range(2049):
        points.append((1 << 94) // ((1 << 63) + e))
        e = e * 9151595186215228390 >> 63
    return [(1 << 31) - p for p in reversed(points[1:])] + points + points[-1:]


def logistic(x):
    x = clip(x, 16 << 15) + (16 << 15)
    low, high = logistic_points()[x >> 8:][:2]
    return low + ((high - low) * (x & 255) >> 8)


@lru_cache(None)
def log2(x):
    n = x.bit_length() - 1
    m, bits = (1 << 10 | (x << 10 >> n) & 1023) << 21, 0
    for _ in range(8):
        m = m * m >> 31
        bits <<= 1
        if m >= 1 << 32:
            m, bits = m >> 1, bits | 1
    return n << 8 | bits


ROOTS = (2141676973, 2135885998, 2124350982, 2101467502, 2056437387, 1969251188, 1805811301, 1518500250)


@lru_cache(None)
def power(x):
    p = 1 << 31
    for i, root in enumerate(ROOTS):
        if x >> i & 1:
            p = p * root >> 31
    return p >> min(63, x >> 8)


def weight(x):
    return power(4 * x) >> 15 if x < 1024 else 0


def squash(x):
    x = clip(x, 3071)
    s = power(abs(x))
    q = (s << 16) // ((1 << 31) + s)
    return max(1, min(65535, q if x < 0 else 65536 - q))


class Decisions:
    """[7.7.1]"""

    def __init__(self, data):
        self.data, self.at = data, 4
        self.code, self.range = int.from_bytes((data + b"\0\0\0\0")[:4], "big"), 0xFFFFFFFF

    def bit(self, one):
        bound = (self.range >> 16) * one
        bit = self.code < bound
        if bit:
            self.range = bound
        else:
            self.code, self.range = self.code - bound & 0xFFFFFFFF, self.range - bound
        self.refill()
        return int(bit)

    def even(self, count):
        step = self.range // count
        number = min(self.code // step, count - 1)
        self.code, self.range = self.code - number * step & 0xFFFFFFFF, step
        self.refill()
        return number

    def refill(self):
        while self.range < 1 << 24:
            byte = self.data[self.at] if self.at < len(self.data) else 0
            self.range, self.code, self.at = self.range << 8 & 0xFFFFFFFF, (self.code << 8 | byte) & 0xFFFFFFFF, self.at + 1

    def done(self):
        need(self.at >= len(self.data), "bytes after the decisions")


QUANTILES = (-2773, -1993, -1502, -1125, -807, -523, -257, 0, 257, 523, 807, 1125, 1502, 1993, 2773)
TAILS = (4309, 5845, 7381, 8917, 11221, 14293, 20437, 32725)


class FloatLine:
    def __init__(self, grid, cursor):
        self.shift = (cursor.uint(1) + 128) % 256 - 128
        self.exponent, self.mantissa, self.bias, _ = FLOATS[grid.element]
        self.middle, self.truncated = grid.middle, grid.element == 2
        self.count, self.zero, self.low = 2 * grid.middle, grid.middle, 0

    def wide(self, i):
        m = i - self.middle if i >= self.middle else self.middle - 1 - i
        e, f = m >> self.mantissa, m & ((1 << self.mantissa) - 1)
        e, f = (e, f | 1 << self.mantissa) if e else (1, f)
        by = e - self.bias - self.mantissa + self.shift + 2
        w = min(f << min(by, 30) if by >= 0 else f >> min(-by, 31), 4 * V)
        return w if i >= self.middle else -w

    def value(self, i):
        return self.wide(i) >> 2

    def bound(self, i):
        if self.truncated:
            return self.wide(i if i >= self.middle else i - 1) >> 2
        return (self.wide(i - 1) + self.wide(i)) >> 3

    def near(self, v):
        n = max(abs(v), 1).bit_length() - 1
        f = (abs(v) >> n - self.mantissa if n >= self.mantissa else abs(v) << self.mantissa - n) & ((1 << self.mantissa) - 1)
        e = n + self.bias - self.shift
        m = 0 if e <= 0 or v == 0 else min((e << self.mantissa) + f, self.middle - 1)
        return self.middle + m if v >= 0 else self.middle - 1 - m


class EvenLine:
    def __init__(self, zero, count, unit, low=0):
        self.zero_at, self.count, self.unit, self.low = zero, count, unit, low
        self.zero = max(0, min(count - 1, zero))

    @classmethod
    def read(cls, cursor):
        low, count, zero, unit = cursor.svarint(), cursor.varint(), cursor.svarint(), cursor.varint()
        need(-1 << 16 <= low < 1 << 16 and 1 <= count <= 1 << 16, "numbers of a grid")
        need(-1 << 17 <= zero < 1 << 17 and 1 <= unit <= 1 << 22, "numbers of a grid")
        return cls(zero, count, unit, low)

    def product(self, i):
        return max(-1 << 31, min((1 << 31) - 1, (i - self.zero_at) * self.unit))

    def value(self, i):
        return clip(self.product(i), V)

    def bound(self, i):
        return clip(self.product(i) - (self.unit >> 1), V)

    def near(self, v):
        return (v + (self.unit >> 1)) // self.unit + self.zero_at


class OwnSquares:
    """[7.10.3] of one channel."""

    def __init__(self):
        self.renew()

    def renew(self):
        self.a = [[1 << 24 if i == j else 0 for j in range(16)] for i in range(16)]
        self.b, self.w, self.inverse = [0] * 16, [0] * 16, [0] * 16
        for i in range(16):
            self.invert(i)

    def invert(self, i):
        self.inverse[i] = (1 << 40) // (self.a[i][i] + (self.a[i][i] >> 8) + (1 << 18))

    def guess(self, features):
        return ((1 << 15) + sum(w * f for w, f in zip(self.w, features))) >> 16

    def learn(self, features, target, unit, turn):
        f, target = [clip(x >> unit, 23170) for x in features], clip(target >> unit, 23170)
        for i in range(16):
            for j in range(16):
                self.a[i][j] += (f[i] * f[j] - self.a[i][j]) >> 8
            self.b[i] += (f[i] * target - self.b[i]) >> 8
        for i in range(turn, 16, 4):
            self.invert(i)
        for i in range(turn % 2, 16, 2):
            gap = (self.b[i] << 16) - sum(a * w for a, w in zip(self.a[i], self.w))
            self.w[i] = clip(self.w[i] + ((gap >> 16) * self.inverse[i] >> 24), 1 << 18)


class LocalSquares:
    """[7.10.3] of all channels."""

    def __init__(self):
        self.w, self.places = [0] * 13, {}

    def begin(self, x, y):
        self.g, self.q = [[0] * 13 for _ in range(13)], [0] * 13
        self.own_g, self.own_q = [[0] * 13 for _ in range(13)], [0] * 13
        for place, times in (((x - 1, y), 2), ((x, y - 1), 2), ((x - 1, y - 1), 1), ((x + 1, y - 1), 1), ((x - 2, y), 1), ((x, y - 2), 1)):
            if place in self.places:
                g, q = self.places[place]
                self.add(g, q, times)
        self.sweep()

    def add(self, g, q, times):
        for i in range(13):
            self.q[i] += times * q[i]
            for j in range(13):
                self.g[i][j] += times * g[i][j]

    def sweep(self):
        for i in range(13):
            gap = (self.q[i] << 16) - sum(g * w for g, w in zip(self.g[i], self.w))
            self.w[i] = clip(self.w[i] + toward_zero(gap, self.g[i][i] + (self.g[i][i] >> 8) + (1 << 20)), 1 << 18)

    def guess(self, features):
        return ((1 << 15) + sum(w * f for w, f in zip(self.w, features))) >> 16

    def learn(self, step, unit, last):
        """`step`: features and target of up to 8 channels."""
        rows = [([clip(x >> unit + 1, 8191) for x in f], clip(t >> unit + 1, 8191)) for f, t in step]
        g = [[sum(f[i] * f[j] for f, _ in rows) for j in range(13)] for i in range(13)]
        q = [sum(f[i] * t for f, t in rows) for i in range(13)]
        self.own_g = [[saturated(a + b) for a, b in zip(*pair)] for pair in zip(self.own_g, g)]
        self.own_q = [saturated(a + b) for a, b in zip(self.own_q, q)]
        self.add(g, q, 2)
        if not last:
            self.sweep()

    def end(self, x, y):
        self.places[x, y] = self.own_g, self.own_q


def saturated(x):
    return max(-1 << 31, min((1 << 31) - 1, x))


class Dense:
    """[7.10]"""

    def __init__(self, grid):
        self.grid, cursor = grid, grid.cursor
        self.counted = hasattr(grid, "counts")
        if self.counted:
            self.line = EvenLine(3, max(grid.counts), 1 << 15)
        elif grid.is_float and not grid.quantised:
            self.line = FloatLine(grid, cursor)
        else:
            self.line = EvenLine.read(cursor)
        self.counts = grid.counts if self.counted else [self.line.count] * grid.channels
        self.digits = None if self.counted else grid.digits
        if self.digits:
            self.digits.limit(self.line.low, self.line.count)
        self.unit = grid.unit if self.counted else cursor.uint(1)
        need(self.unit <= 16 or self.unit == 255, "unit of features")
        self.light = self.unit == 255
        self.counters = {} if self.counted and not self.light else None
        self.inputs, self.rate = ([4000] * 8 + [3000] * 10, 2) if self.counters is not None else ([9011] * 8, 3)
        if self.digits:
            self.inputs = self.inputs + [2000] * 8
        self.source = (4,) if self.light else (4, 4, 5, 6, 0, 2, 4, 4)
        self.tracked = range(5 if self.light else 7)
        self.guesses = [k for k in self.tracked if k != 4]
        self.decisions = None if self.counted else Decisions(cursor.rest())
        self.own, self.local, self.turn = [OwnSquares() for _ in range(grid.channels)], LocalSquares(), 0
        self.own_starts = [copy.deepcopy(self.own), copy.deepcopy(self.own)]
        self.copies, self.scales, self.mixers, self.points, self.quantiles = [4096] * 16, {}, {}, {}, {}
        self.beside = not self.counted and grid.beside
        self.held, self.taken, self.above = {}, [4096] * 8, [32768] * 4

    def decode(self):
        grid, out = self.grid, []
        # By (frame, x, y, channel), and for errors the guess.
        self.values, self.changes, self.errors, self.copied, self.numbers = {}, {}, {}, {}, {}
        for t in range(grid.frames):
            if t < 2:
                self.own = copy.deepcopy(self.own_starts[t])
            self.local.places = {}
            for y in range(grid.height):
                for x in range(grid.width):
                    self.position(t, x, y)
                    out.extend(self.numbers[t, x, y, c] + self.line.low for c in range(grid.channels))
            if t == 0 or t + 1 == grid.frames:
                self.own_starts[min(t, 1)] = copy.deepcopy(self.own)
        if not self.counted:
            self.decisions.done()
        return out

    def value(self, t, place, c):
        return self.values.get((t, *place, c), 0) if place else 0

    def change(self, t, place, c):
        return self.changes.get((t, *place, c), 0) if place else 0

    def is_copied(self, t, x, y, beside):
        left, up, _, right = beside

        def copied(t, place):
            return int(bool(place) and self.copied.get((t, *place), False))

        context = copied(t, left) + 2 * copied(t, up) + 4 * copied(t - 1, (x, y)) + 8 * copied(t, right)
        one = self.copies[context]
        bit = self.decisions.bit(max(16, min(65520, one)))
        self.copies[context] += ((65535 if bit else 0) - one) >> 5
        self.copied[t, x, y] = bool(bit)
        return bit

    def position(self, t, x, y):
        channels, beside, around = self.grid.channels, self.grid.neighbours(x, y), self.grid.around(x, y)
        self.ends = [self.digits.ends(t, x, y, c) if self.digits else (0, self.counts[c]) for c in range(channels)]
        old = [self.numbers.get((t - 1, x, y, c), min(self.line.zero, self.counts[c] - 1)) for c in range(channels)]
        copied = all(lo <= n < hi for n, (lo, hi) in zip(old, self.ends)) and self.is_copied(t, x, y, beside)
        taken = None
        if copied:
            taken = (t - 1, x, y)
        elif self.beside:
            taken = self.from_beside(t, x, y)
        known = [self.before(t, x, y, c, beside, around) for c in range(channels)]
        if not self.light:
            self.local.begin(x, y)
        changes, heard, owns = [0, 0, 0], [0] * 7, []
        for first in range(0, channels, 8):
            step = []
            for c in range(first, min(first + 8, channels)):
                base, guess, features, local, activity = known[c]
                features = features + changes[:3]
                if not self.light:
                    guess = {**guess, 5: clip(base + self.own[c].guess(features), V), 6: clip(base + self.local.guess(local), V)}
                guess[4] = self.blend(c, base, guess, activity, heard)
                if taken:
                    self.numbers[t, x, y, c] = self.numbers.get((*taken, c), min(self.line.zero, self.counts[c] - 1))
                else:
                    if self.counters is not None:
                        self.surround(t, x, y, c, beside, around, changes)
                    self.numbers[t, x, y, c] = Number(self, c, guess, activity, heard, self.places_ahead(t, x, y, c)).decode()
                value = self.line.value(self.numbers[t, x, y, c])
                for k in self.tracked:
                    error = self.errors[t, x, y, c, k] = abs(value - guess[k])
                    heard[k] += error if c == 0 else (error - heard[k]) >> 2
                self.values[t, x, y, c], self.changes[t, x, y, c] = value, value - base
                target = clip(value - base, 1 << 21)
                changes = [target] + changes
                step.append((local, target))
                owns.append((features, target))
            if not self.light:
                # What was guessed of a step was guessed before it is learned from.
                self.local.learn(step, self.unit, first + 8 >= channels)
        if not self.light:
            self.local.end(x, y)
            self.turn = (self.turn + 1) % 4
            for own, (features, target) in zip(self.own, owns):
                own.learn(features, target, self.unit, self.turn)

    def places_ahead(self, t, x, y, c):
        """[7.12] Of each place ahead: where it lies, how sharply, and for those of the same frame the value in the frame before."""
        if not self.digits or self.light:
            return None
        grid, places = self.grid, []
        for k, sharpness in enumerate((256, 190, 160, 140, 120, 110)):
            places.append((t + 1 + k, x, y, sharpness) if t + 1 + k < grid.frames else None)
        places += [(t, x + 1, y, 128) if x + 1 < grid.width else None, (t, x, y + 1, 128) if y + 1 < grid.height else None]
        return [place and self.place_ahead(*place, c, t) for place in places]

    def place_ahead(self, t, x, y, sharpness, c, now):
        lo, hi = self.digits.ends(t, x, y, c)
        return self.span(lo, hi, c), sharpness, None if t > now else self.value(t - 1, (x, y), c)

    def span(self, lo, hi, c):
        return (self.line.bound(lo) if lo > 0 else -V), (self.line.bound(hi) if hi < self.counts[c] else V)

    def from_beside(self, t, x, y):
        """[7.10.2] The position that this one was taken from, if it was."""

        def decide(states, context):
            one = states[context]
            bit = self.decisions.bit(max(16, min(65520, one)))
            states[context] += ((65535 if bit else 0) - one) >> 5
            return bit

        if not (x or y):
            return None
        left, above = self.held.get((t, x - 1, y)), self.held.get((t, x, y - 1))
        context = bool(left) + 2 * bool(above) + 4 * bool(self.held.get((t - 1, x, y)))
        if not decide(self.taken, context):
            return None
        up = not x or bool(y and decide(self.above, (left == "up") + 2 * (above == "up")))
        self.held[t, x, y] = "up" if up else "left"
        return (t, x, y - 1) if up else (t, x - 1, y)

    def before(self, t, x, y, c, beside, around):
        """[7.10.2] What is known of a channel before the position: p, guesses, features, local features, a(k)."""
        left, up, corner, right = beside
        p = self.value(t - 1, (x, y), c)
        d = [self.change(t, place, c) for place in (left, up, corner, right)]
        v = [self.value(t, place, c) for place in (left, up, corner)]
        guess = dict(enumerate(clip(g, V) for g in (p, (3 * (v[0] + v[1]) - 2 * v[2]) >> 2, p + ((d[0] + d[1]) >> 1),
                                                    p + ((2 * (d[0] + d[1]) - d[2] + d[3]) >> 2))))
        old = [self.value(t - 1, place, c) - p for place in around]
        first = d + old[:4] + [self.change(t - 1, (x, y), c)]
        own = [clip(f, 1 << 21) for f in first + [self.change(t - 1, place, c) for place in around[:4]]]
        local = [clip(f, 1 << 21) for f in first + old[4:]]
        activity = []
        for k in self.tracked:
            def e(t, place):
                return self.errors.get((t, *place, c, k), 0) if place else 0

            near = 2 * e(t, left) + 2 * e(t, up) + e(t, corner) + e(t, right)
            activity.append(near // 6 if t < 2 else (near + 2 * e(t - 1, (x, y)) + e(t - 1, around[1]) + e(t - 1, around[3])) // 10)
        return p, guess, own, local, activity

    def surround(self, t, x, y, c, beside, around, changes):
        """[7.11]"""
        def digit(v):
            return (v >> 15) % 256

        def old(place):
            return digit(self.value(t - 1, place, c))

        here = (x, y)
        p, q = old(here), digit(self.value(t - 1, here, c) - self.change(t - 1, here, c))
        l, u, ul, ur = (digit(self.value(t, place, c)) for place in beside)
        pl, pr, pu, pd = (old(place) for place in around[:4])
        dl, du = (digit(self.change(t, place, c)) for place in beside[:2])
        d1, d2, d3 = (digit(v) for v in changes[:3])
        self.hashes = []
        for i, numbers in enumerate(((c, p, l, u), (c, p, q), (c, p, dl, du), (p, dl, du, d1), (c, p, d1, d2), (c, l, u, ul), (p, d1, d2, d3),
                                     (c, p, pl, pr, pu, pd), (c, p, l, pr, pd), (c, p, l + 256 * u, ur, q, 1))):
            h = (i + 1) * 0x9E3779B1 & WORD
            for n in (tuple(numbers) + (0,) * 6)[:6]:
                h = (h ^ n) * 0x85EBCA6B & WORD
                h = (h << 13 | h >> 19) & WORD
            self.hashes.append(h)

    def blend(self, c, base, guess, activity, heard):
        logs = {k: log2(activity[k] + (heard[k] >> 3) * min(c, 8) + 1) for k in self.guesses}
        least = min(logs.values())
        weights = {k: weight((logs[k] - least) * 7 >> 4) for k in self.guesses}
        return base + toward_zero(sum(w * (guess[k] - base) for k, w in weights.items()), sum(weights.values()))


class Number:
    """[7.10.4], [7.10.5]"""

    def __init__(self, dense, c, guess, activity, heard, ahead=None):
        self.dense, self.line, self.c, self.guess = dense, dense.line, c, guess
        self.guesses = [guess[k] for k in dense.source]
        self.ahead = ahead
        if ahead and ahead[0]:
            low, high = ahead[0][0]
            self.guesses[7] = max(low, min(max(high, low), self.guesses[7]))

        def degree(x, shift):
            return min(31, max(0, log2(x + 1) - 1024) >> shift)

        recent = activity if c == 0 else heard
        pair = [32 * degree(activity[k], 7) + degree(recent[k], 7) for k in dense.tracked]
        act = [(activity[k] >> 1) + (recent[k] >> 1) for k in dense.tracked]
        self.half = degree(act[4], 7)
        spread = max(guess.values()) - min(guess.values())
        self.keys, self.inverse, self.means, self.scale = [], [], [], None
        for i, k in enumerate(dense.source):
            if i == 0 and not dense.light:
                key = min(63, max(0, log2(act[4] + 1) - 1024) >> 6)
            else:
                key = {6: 32 * c + self.half, 7: 32 * degree(spread, 7) + self.half}.get(i, pair[k])
            mean, seen = dense.scales.get((i, key), (0, 0))
            self.means.append(mean if seen else 16 * act[k])
            s = max(64, self.means[-1] * 739 >> 10)
            self.scale = self.scale or s
            self.keys.append((i, key))
            self.inverse.append((1 << 39) // s)
        self.low, self.high = dense.ends[c]
        self.at_low, self.at_high = [0] * len(dense.source), [1 << 31] * len(dense.source)
        experts = range(len(dense.source))
        if self.low > 0:
            self.at_low = [self.given(i, self.line.bound(self.low)) for i in experts]
        if self.high < dense.counts[c]:
            self.at_high = [self.given(i, self.line.bound(self.high)) for i in experts]

    def decode(self):
        light_floats = self.dense.light and isinstance(self.line, FloatLine)
        if light_floats and not self.dense.digits and self.place(QUANTILES[14]) - self.place(QUANTILES[0]) >= 24:
            low = self.quick()
        else:
            low, width, node = 0, 16, 1
            while width > 1:
                width //= 2
                above = self.cut(self.place(QUANTILES[low + width - 1]), node)
                node, low = 2 * node + above, low + above * width
        if low in (0, 15):
            for i, t in enumerate(TAILS):
                above = self.cut(self.place(t if low else -t), 16 + i + (8 if low else 0))
                if bool(above) != bool(low):
                    break
        while self.high - self.low > 1:
            if light_floats and self.low >> self.line.mantissa == self.high - 1 >> self.line.mantissa:
                self.low += self.dense.decisions.even(self.high - self.low)
                break
            self.halve((self.low + self.high) >> 1)
        self.learn(self.line.value(self.low))
        return self.low

    def quick(self):
        low, node, states = 0, 1, self.dense.quantiles
        for width in (8, 4, 2, 1):
            keys = (("class", self.half, node), ("channel", self.c, node))
            bit = self.dense.decisions.bit(max(24, min(65512, sum(states.get(key, 1 << 15) for key in keys) >> 1)))
            for key in keys:
                state = states.get(key, 1 << 15)
                states[key] = state + ((65535 * bit - state) >> 6)
            node, low = 2 * node + bit, low + bit * width
        if low > 0:
            self.low = self.place(QUANTILES[low - 1])
        if low < 15:
            self.high = self.place(QUANTILES[low])
        self.high = max(self.high, self.low + 1)
        ends = [logistic((self.line.bound(m) - self.guesses[0]) * self.inverse[0] >> 20) for m in (self.low, self.high)]
        if self.low > 0:
            self.at_low = [ends[0]]
        if self.high < self.line.count:
            self.at_high = [max(ends)]
        return low

    def place(self, z):
        return self.line.near(clip(z * self.scale >> 14, 1 << 27) + self.guess[4])

    def given(self, i, bound):
        f = logistic((bound - self.guesses[i]) * self.inverse[i] >> 20)
        return max(self.at_low[i], min(self.at_high[i], f))

    def follow(self, bit, m, at):
        if bit:
            self.low, self.at_low = m, at
        else:
            self.high, self.at_high = m, at
        return bit

    def halve(self, m):
        f = self.given(0, self.line.bound(m))
        p = (self.at_high[0] - f + 24 << 16) // (self.at_high[0] - self.at_low[0] + 48)
        self.follow(self.dense.decisions.bit(max(24, min(65512, p))), m, [f] + self.at_low[1:])

    def cut(self, m, node):
        if m <= self.low or m >= self.high:
            return int(m <= self.low)
        dense, experts = self.dense, range(len(self.dense.source))
        at = [self.given(i, self.line.bound(m)) for i in experts]
        x = [log2(self.at_high[i] - at[i] + 48) - log2(at[i] - self.at_low[i] + 48) for i in experts]
        if self.ahead:
            x += [self.spoken_for(place, self.line.bound(m)) if place else 0 for place in self.ahead]
        places = []
        if dense.counters is not None:
            g = self.low + (self.high << 9) + (m << 18)
            for h in dense.hashes:
                k = (h ^ (g * 0xC2B2AE35 & WORD)) * 0x9E3779B1 & WORD
                places.append((k ^ k >> 15) % (1 << 18))
                one, seen = dense.counters.get(places[-1], (1 << 15, 0))
                x.append((log2(max(one, 1)) - log2(65536 - one)) * TRUST[min(seen, 15)] >> 4)
        few = min(node, 7)
        sets = [] if dense.light else [dense.mixers.setdefault(key, list(dense.inputs)) for key in
                                       (("node", node), ("channel", 8 * self.c + few), ("class", 8 * self.half + few))]
        mixed = [clip(sum((w >> 5) * v for w, v in zip(weights, x)) >> 11, 3071) for weights in sets] or [clip(x[0], 3071)] * 3
        y = sum(mixed) * 21845 >> 16
        j, r = divmod(y + 3072, 192)
        points = [dense.points.setdefault(key, [squash(192 * i - 3072) for i in range(33)]) for key in (("node", node), ("channel", 32 * self.c + node))]
        corrected = [(p[j] * (192 - r) + p[j + 1] * r) // 192 for p in points]
        bit = dense.decisions.bit(max(24, min(65512, 2 * squash(y) + sum(corrected) >> 2)))
        for weights, stretched in zip(sets, mixed):
            e = ((65536 if bit else 0) - squash(stretched)) * dense.rate >> 4
            weights[:] = [clip(w + ((v * e + (1 << 13)) >> 14), 1 << 19) for w, v in zip(weights, x)]
        for p in points:
            place = j + (r >= 96)
            p[place] += ((65535 if bit else 0) - p[place]) >> 6
        for place in places:
            one, seen = dense.counters.get(place, (1 << 15, 0))
            one = max(32, min(65504, one + toward_zero(2 * ((65535 if bit else 0) - one), 2 * seen + 3)))
            dense.counters[place] = one, min(seen + 1, 120)
        return self.follow(bit, m, at)

    def spoken_for(self, place, bound):
        """[7.12] The input of a place ahead."""
        (a, b), sharpness, was = place
        low, high = self.dense.span(self.low, self.high, self.c)
        step = min(self.scale >> 3, 1 << 27)

        def likelihood(x):
            x = x if was is None else was + ((x - self.guess[4]) >> 1)
            inverse = self.inverse[0] * sharpness >> 8
            below = 0 if a <= -V else logistic((a - x) * inverse >> 20)
            up_to = 1 << 31 if b >= V else logistic((b - x) * inverse >> 20)
            return log2(max(up_to - below, 0) + (1 << 20))

        return 2 * (likelihood(min(bound + high >> 1, bound + step)) - likelihood(max(bound + low >> 1, bound - step)))

    def learn(self, value):
        for (i, key), guess in zip(self.keys, self.guesses):
            error = 16 * min(abs(value - guess), 1 << 26)
            mean, seen = self.dense.scales.get((i, key), (0, 0))
            if self.dense.counters is not None and seen == 0:
                mean, seen = self.means[i], 2
            mean = error if seen == 0 else mean + ((error - mean) * (131072 // (2 * seen + 3)) >> 16)
            self.dense.scales[i, key] = mean, min(seen + 1, 100)


