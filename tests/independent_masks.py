"""Masks (coding 48), written from format-spec/SPEC.md section 7.11.4 alone; for independent_reader.py."""
from independent_grids import TRUST, Decisions, clip, squash
from independent_tokens import Mixer, stretch
from independent_values import Cursor, Unsupported, need

EIGHT = ((0, -1), (-1, 0), (0, -2), (-1, -1), (-1, 1), (-2, 0), (-1, 2), (-1, -2))  # w, n, ww, nw, ne, nn, nee, nww
CROSS = ((0, -1), (0, 1), (-1, 0), (1, 0))


def class_of(v, most):
    return min((v + 1).bit_length() - 1, most)


class Masks:
    def __init__(self, payload, length):
        cursor = Cursor(payload)
        need(cursor.uint(1) == 1, "form of masks", Unsupported)
        self.steps, self.first, self.rows, self.columns = (cursor.varint() for _ in range(4))
        sides = all(1 <= side <= 1 << 16 for side in (self.rows, self.columns))
        need(self.first < self.steps and sides and length % (self.rows * self.columns) == 0 and length > 0, "size of masks")
        self.count = length // (self.rows * self.columns)
        self.decisions = Decisions(cursor.rest())
        self.planes, self.counters, self.points = [], {}, {}
        self.mixers = [Mixer(12, 10922, 12) for _ in range(3)]
        self.last = Mixer(3, 21845, 2)

    def bit(self, plane, y, x):
        inside = plane is not None and 0 <= y < self.rows and 0 <= x < self.columns
        return self.planes[plane][y][x] if inside else 0

    def decode(self):
        for n in range(self.count):
            step = (self.first + n) % self.steps
            self.before = n - 1 if n > 0 and step > 0 else None
            self.older = n - 2 if n > 1 and step > 1 else None
            self.head = n - self.steps if n >= self.steps else None
            self.planes.append([[0] * self.columns for _ in range(self.rows)])
            for y in range(self.rows):
                for x in range(self.columns):
                    self.planes[n][y][x] = self.decide(*self.lists(n, y, x))
        self.decisions.done()
        return bytes(bit for plane in self.planes for row in plane for bit in row)

    def nine(self, plane, y, x):
        bits = 0
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                bits = 2 * bits + self.bit(plane, y + dy, x + dx)
        return bits

    def five(self, plane, y, x):
        return sum(self.bit(plane, y + dy, x + dx) for dy in range(-2, 3) for dx in range(-2, 3))

    def lists(self, n, y, x):
        """The values of the lists, and the sets of the mixers."""
        eight = [self.bit(n, y + dy, x + dx) for dy, dx in EIGHT]
        own, near = sum(bit << i for i, bit in enumerate(eight)), sum(eight)
        wn = own & 3
        a, b, o = (self.bit(plane, y, x) for plane in (self.before, self.head, self.older))
        has_before, has_head = int(self.before is not None), int(self.head is not None)
        t = cross = m = 0
        if x < self.rows and y < self.columns:
            m = int(x < y)
            of = n if m else self.before
            t = self.bit(of, x, y)
            cross = sum(self.bit(of, x + dy, y + dx) << i for i, (dy, dx) in enumerate(CROSS))
        past = sum(self.bit(n - 1 - i, y, x) << i for i in range(4) if n > i)
        ones = min(15, sum(self.bit(i, y, x) for i in range(n)))
        row = sum(self.planes[n][y][:x])
        column = min(15, 16 * sum(self.planes[n][i][x] for i in range(y)) // (y + 1))
        far, left = class_of(abs(x - y), 7), class_of(self.columns - x, 15)
        five = self.five(self.before, y, x)
        lists = (
            own,
            self.nine(self.before, y, x) + 512 * wn + 2048 * has_before,
            self.nine(self.head, y, x) + 512 * wn + 2048 * has_head,
            a + 2 * b + 4 * t + 8 * wn + 32 * o + 64 * far + 512 * m,
            4 * x + wn,
            2 * (clip(x - y, 511) + 512) + a,
            t + 2 * cross + 32 * wn + 128 * a + 256 * m,
            16 * min(row, 255) + left,
            past + 16 * ones + 256 * wn,
            9 * five + near,
            2 * (9 * self.five(self.head, y, x) + near) + a,
            8 * column + 2 * wn + a,
        )
        return lists, (a + 2 * t + 4 * wn + 16 * has_before + 32 * m, 16 * min(row, 15) + left, 26 * near + five)

    def decide(self, lists, sets):
        found = [self.counters.get(key, (1 << 15, 0)) for key in enumerate(lists)]
        inputs = [stretch(one) * TRUST[min(seen, 15)] >> 4 for one, seen in found]
        ys = [mixer.mix(key, inputs) for mixer, key in zip(self.mixers, sets)]
        y = self.last.mix(sets[0], ys)
        j, r = divmod(y + 3072, 192)
        keys = (("bits", sets[0]), ("row", lists[7]))
        points = [self.points.setdefault(key, [squash(192 * i - 3072) for i in range(33)]) for key in keys]
        both = sum((p[j] * (192 - r) + p[j + 1] * r) // 192 for p in points)
        one = self.decisions.bit(max(24, min(65512, 2 * squash(y) + both >> 2)))
        for mixer, key, mixed in zip(self.mixers, sets, ys):
            mixer.learn(key, inputs, mixed, one)
        self.last.learn(sets[0], ys, y, one)
        for p in points:
            at = j + (r >= 96)
            p[at] += ((65535 if one else 0) - p[at]) >> 6
        for key, (chance, seen) in zip(enumerate(lists), found):
            chance += ((65535 if one else 0) - chance) * (131072 // (2 * seen + 3)) >> 16
            self.counters[key] = max(32, min(65504, chance)), min(seen + 1, 120)
        return one


def decode_masks(payload, length):
    return Masks(payload, length).decode()
