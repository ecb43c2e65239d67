"""Images and sets of Gaussians of the mcodec format, written from format-spec/SPEC.md sections 5.8 and 7.7 alone; for independent_reader.py."""
import math
import struct
from functools import cache
from pathlib import Path

import numpy as np
from blake3 import blake3

from independent_fast_gaussians import FastNumber, FastStream
from independent_values import Cursor, Unsupported, need

TABLES = Path(__file__).resolve().parent.parent / "format-spec/coding/src/gaussians/gaussians.tables"
GAUSSIANS, FAST_GAUSSIANS = 5, 40  # codings
IMAGE_FIELD = 3  # of an asset
KINDS = ("grey", "colour", "grey with alpha", "colour with alpha", "data")
TRANSFERS = ("sRGB", "linear", "logarithm")
CHANNELS = (1, 3, 2, 4)
PRESETS = {0: (80, 42, 80, 60, 75), 1: (60, 30, 60, 36, 75)}
LUMA, U, V, OTHER = "luma", "U", "V", "other"
PLANES = ((LUMA,), (LUMA, U, V), (LUMA, OTHER), (LUMA, U, V, OTHER))
MAX_SIDE, MAX_UNPAGED, MAX_CELLS, MAX_GAUSSIANS, MAX_INDEX, MAX_VALUE = 16384, 4096, 2048, 65534, 1 << 22, 1 << 27


# ------------------------------------------------------------------------------------------------------------------ [5.8] image, layer


class Image:
    """The asset field `image`."""

    def __init__(self, raw):
        cursor = Cursor(raw)
        self.width, self.height = cursor.varint(), cursor.varint()
        need(1 <= self.width <= MAX_SIDE and 1 <= self.height <= MAX_SIDE, "size of an image")
        head = cursor.uint(1)
        count, self.repeats, named = head & 31, [bool(head & 32), bool(head & 64)], bool(head & 128)
        need(count >= 1, "an image without groups")
        self.groups = [self.group(cursor, named) for _ in range(count)]
        self.planes = [plane for group in self.groups for plane in group.pop("planes")]
        need(sum(len(g["channels"]) if g["kind"] == "data" else CHANNELS[KINDS.index(g["kind"])] for g in self.groups) <= 16, "too many channels")
        head = cursor.uint(1)
        preset, has_gains = head & 127, head & 128
        need(preset in PRESETS or preset == 127, f"preset {preset}", Unsupported)
        self.constants = PRESETS[preset] if preset in PRESETS else tuple(cursor.take(5))
        need(all(self.constants[:4]), "a constant of zero")
        self.gains = [cursor.svarint() if has_gains else 0 for _ in self.planes]
        need(all(-63 <= gain <= 63 for gain in self.gains), "gain of a plane")
        self.means = [cursor.svarint() for _ in self.planes]
        depths = [g["depth"] for g in self.groups for _ in range(len(g["channels"]) if g["kind"] == "data" else CHANNELS[KINDS.index(g["kind"])])]
        need(all(abs(mean) <= 8 << (18 if depth else 12) for mean, depth in zip(self.means, depths, strict=True)), "mean of a plane")
        cursor.done("an image")

    def group(self, cursor, named):
        head = cursor.uint(1)
        kind, transfer, depth = head & 7, head >> 3 & 7, head >> 6
        need(kind < len(KINDS), f"channel group kind {kind}", Unsupported)
        need(transfer < len(TRANSFERS), f"transfer {transfer}", Unsupported)
        need(depth < 3, f"depth {depth}", Unsupported)
        group = {"kind": KINDS[kind], "transfer": TRANSFERS[transfer], "depth": depth, "name": cursor.text() if named else "", "channels": []}
        if kind == 4:
            count = cursor.varint()
            need(1 <= count <= 16, "channels of a group")
            group["channels"] = [cursor.text() for _ in range(count)]
            group["planes"] = (OTHER,) * count
        else:
            group["planes"] = PLANES[kind]
        group["bounds"] = [0.0, 1.0]
        if depth == 2:
            group["bounds"] = list(struct.unpack("<ff", cursor.take(8)))
            need(all(map(math.isfinite, group["bounds"])) and group["bounds"][0] < group["bounds"][1], "bounds of a group")
        return group

    def canonical(self):
        """The field as the content hash takes it: names, constants and gains are only in it where they must be."""
        preset = next((number for number, constants in PRESETS.items() if constants == self.constants), 127)
        gains = self.gains if any(self.gains) else []
        named = any(group["name"] for group in self.groups)
        out = varint(self.width) + varint(self.height)
        out += bytes([len(self.groups) | self.repeats[0] << 5 | self.repeats[1] << 6 | named << 7])
        for group in self.groups:
            out += bytes([KINDS.index(group["kind"]) | TRANSFERS.index(group["transfer"]) << 3 | group["depth"] << 6])
            out += string(group["name"]) if named else b""
            if group["kind"] == "data":
                out += varint(len(group["channels"])) + b"".join(map(string, group["channels"]))
            out += struct.pack("<ff", *group["bounds"]) if group["depth"] == 2 else b""
        out += bytes([preset | (128 if gains else 0)]) + (bytes(self.constants) if preset == 127 else b"")
        return out + b"".join(varint(2 * value if value >= 0 else -2 * value - 1) for value in [*gains, *self.means])

    def twin(self):
        return {"width": self.width, "height": self.height, "repeats": self.repeats, "groups": self.groups,
                "constants": list(self.constants), "gains": self.gains, "means": self.means}


def varint(value):
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def string(text):
    return varint(len(text.encode())) + text.encode()


class Layer:
    """A layer of an image: the side of its pages in pixels, and how far each reaches [5.8.1]."""

    def __init__(self, image, page, reach, coding=GAUSSIANS):
        self.image, self.side, self.coding = image, None, coding
        if page is None:
            need(not reach, "reach of a layer without pages")
            need(max(image.width, image.height) <= MAX_UNPAGED, "a layer without pages, of too large an image")
            self.chunks = 1
            return
        need(1 <= page <= 512, "page of a layer")
        self.side = 8 * page
        self.columns, self.rows = -(-image.width // self.side), -(-image.height // self.side)
        self.chunks = 1 + self.columns * self.rows
        need(len(reach or ()) == self.chunks - 1, "reaches of a layer")

    def areas(self, chunk):
        """[(is coarse, first column and row, columns, rows)] in cells of the sets of a chunk [7.7, 7.7.4]."""
        coarse = (True, 0, 0, -(-self.image.width // 8), -(-self.image.height // 8))
        if self.side is None:
            return [coarse, (False, 0, 0, -(-self.image.width // 2), -(-self.image.height // 2))]
        if chunk == 0:
            return [coarse]
        cells = self.side // 2
        return [(False, (chunk - 1) % self.columns * cells, (chunk - 1) // self.columns * cells, cells, cells)]

    def decode(self, payload, chunk, below):
        """The sets of a chunk; below are those of the layers below: [(is coarse, symbols, colours)]."""
        io, steps, model = (FastStream(payload), Steps(self.image), None) if self.coding == FAST_GAUSSIANS else (Binary(payload), Steps(self.image), Model())
        sets = [SetDecoder(io, model, steps, self.image, area, below).decode() for area in self.areas(chunk)]
        io.close()
        return sets


def image_of(fields):
    """What the fields of an image asset say: [(id, critical, value)]."""
    field = next((value for ident, _, value in fields if ident == IMAGE_FIELD), None)
    need(field is not None, "an image that does not say what it is")
    return Image(field)


def layers_of(image, entries, describe):
    """[(entry, layer)] of an image, the coarsest first."""
    by_name = {entry["name"]: entry for entry in entries}
    need(1 <= len(entries) <= 16 and by_name.keys() == {str(i) for i in range(len(entries))}, "names of layers")
    in_order = [by_name[str(i)] for i in range(len(entries))]
    described = [(entry, describe(entry)) for entry in in_order]
    return [(entry, Layer(image, d["page"], d["reach"], d["coding"])) for entry, d in described]


def hash_of_sets(sets):
    """[5.8.1] What the content hash has of sets: [(symbols, colours)]."""
    out = b""
    for symbols, colours in sets:
        out += struct.pack("<I", len(symbols)) + b"".join(struct.pack("<IIBBB", *symbol) for symbol in symbols)
        out += b"".join(struct.pack(f"<{len(colour)}i", *colour) for colour in colours)
    return out


def image_hash(image, layers):
    """[5.8.1] Of [(layer, sets of all its chunks)]."""
    state = blake3(image.canonical())
    for layer, sets in layers:
        state.update(struct.pack("<I", layer.side or 0) + hash_of_sets(sets))
    return state.hexdigest()


# -------------------------------------------------------------------------------------------------------------- [7.7.1] coder, mixing


class Binary:
    def __init__(self, payload):
        self.payload, self.at = payload, 4
        self.code, self.range = int.from_bytes(payload[:4].ljust(4, b"\0"), "big"), (1 << 32) - 1

    def decision(self, p):
        bound = (self.range >> 16) * p
        one = self.code < bound
        if one:
            self.range = bound
        else:
            self.code -= bound
            self.range -= bound
        while self.range < 1 << 24:
            byte = self.payload[self.at] if self.at < len(self.payload) else 0
            self.at += 1
            self.range = self.range << 8 & 0xFFFFFFFF
            self.code = (self.code << 8 | byte) & 0xFFFFFFFF
        return int(one)

    def raw(self, n):
        value = 0
        for _ in range(n):
            value = value << 1 | self.decision(32768)
        return value

    def close(self):
        need(self.at >= len(self.payload), "bytes after the last set")


def clamp(value, low, high):
    return max(low, min(value, high))


SQUASH = [math.floor(65536 / (1 + math.exp(-i / 16)) + 0.5) for i in range(129)]


def squash(x):
    m = min(abs(x), 32767)
    c, r = m >> 8, m & 255
    y = SQUASH[c] + ((SQUASH[c + 1] - SQUASH[c]) * r >> 8)
    return y if x >= 0 else 65536 - y


@cache
def stretch_table():
    table, x = [], -32767
    for i in range(4096):
        while x < 32767 and squash(x) < 16 * i + 8:
            x += 1
        table.append(x)
    return table


CONFIDENCE = [1024 * (10 * n + 3) // (10 * n + 15) for n in range(81)]
RATE = [655360 // (10 * n + 16) for n in range(81)]
NEW_WEIGHTS = (58982, 41707, 34053, 29491)
TREE, UNSIGNED, SIGNED = range(3)
ESCAPE_STATES = 25
# [7.7.6] name: form, depth or ones, contexts of each slot
NUMBERS = {"count": (TREE, 4, (4,)), "small": (TREE, 5, (13 * 16 * 5, 13 * 5)), "large": (SIGNED, 24, (16, 5)),
           "sum": (UNSIGNED, 64, (512, 65, 693)), "difference": (UNSIGNED, 24, (64, 32, 352)), "angle": (TREE, 6, (72, 72, 144)),
           **{plane: (SIGNED, 24, (80, 416, 512, 192)) for plane in (LUMA, U, V, OTHER)}}


@cache
def layout():
    """name: (first state of each slot, nodes, first state of the escape, first weight set); then how many weight sets there are."""
    numbers, state, weights = {}, 0, 0
    for name, (form, size, slots) in NUMBERS.items():
        nodes, first = (1 << size, size, size + 2)[form], []
        for contexts in slots:
            first.append(state)
            state += contexts * nodes
        numbers[name] = (first, nodes, state, weights)
        state += 0 if form == TREE else ESCAPE_STATES
        weights += (size, 4, 6)[form]
    return numbers, weights


@cache
def start():
    """States and weights that are not new at the start of a chunk."""
    cursor, states, weights = Cursor(TABLES.read_bytes()), {}, {}
    if cursor.at < cursor.end:
        for index in range(layout()[1]):
            weights[index] = [16 * cursor.svarint() for _ in range(4)]
    last = 0
    while cursor.at < cursor.end:
        last += cursor.varint()
        seen = cursor.uint(1)
        states[last] = (cursor.uint(2), seen)
    return states, weights


class Model:
    """States and weights of a chunk."""

    def __init__(self):
        states, weights = start()
        self.states, self.weights = dict(states), {k: list(v) for k, v in weights.items()}

    def mixed(self, io, at, weight_set):
        """A decision under these states."""
        stretch, states = stretch_table(), [self.states.get(a, (32768, 0)) for a in at]
        weights = self.weights.setdefault(weight_set, [NEW_WEIGHTS[len(at) - 1]] * 4)
        e = [stretch[one >> 4] * CONFIDENCE[seen] >> 10 for one, seen in states]
        p = clamp(squash(clamp(sum(a * w for a, w in zip(e, weights)) >> 16, -32767, 32767)), 32, 65504)
        bit = io.decision(p)
        error = 65536 * bit - p
        for j, input_ in enumerate(e):
            weights[j] = clamp(weights[j] + (error * input_ + (1 << 17) >> 18), -1 << 20, 1 << 20)
        for a, state in zip(at, states):
            self.states[a] = updated(state, bit)
        return bit

    def alone(self, io, at):
        state = self.states.get(at, (32768, 0))
        bit = io.decision(clamp(state[0], 32, 65504))
        self.states[at] = updated(state, bit)
        return bit


def updated(state, bit):
    one, seen = state
    return clamp(one + ((65536 * bit - one) * RATE[seen] >> 16), 131, 65405), min(seen + 1, 80)


class Number:
    """A number of some name under its contexts."""

    def __init__(self, io, model, name, contexts):
        self.io, self.model = io, model
        first, nodes, self.escape, self.weights = layout()[0][name]
        self.size = NUMBERS[name][1]
        self.slots = [f + nodes * min(c, n - 1) for f, c, n in zip(first, contexts, NUMBERS[name][2], strict=True)]

    def decision(self, node, place):
        return self.model.mixed(self.io, [slot + node for slot in self.slots], self.weights + place)

    def unsigned(self, node=0, place=0):
        for i in range(self.size):
            if not self.decision(node + i, place + min(i, 3)):
                return i
        bits = 0
        while self.model.alone(self.io, self.escape + bits):
            bits += 1
            need(bits < 24, "escape too long")
        return self.size - 1 + (1 << bits | self.io.raw(bits))

    def signed(self):
        if not self.decision(0, 0):
            return 0
        negative = self.decision(1, 1)
        magnitude = 1 + self.unsigned(2, 2)
        return -magnitude if negative else magnitude

    def tree(self, depth):
        node = 1
        for place in range(depth):
            node = node << 1 | self.decision(node, place)
        return node - (1 << depth)

    def search(self, n, place):
        low, high, node = 0, n, 1
        while low < high:
            middle = (low + high) // 2
            above = self.decision(node, place)
            node = 2 * node + above
            low, high = (middle + 1, high) if above else (low, middle)
        return low


# --------------------------------------------------------------------------------------------------------- [7.7.2] functions, [7.7.3] steps


@cache
def lg(x):
    x = max(x, 1)
    n = x.bit_length() - 1
    m = x << 31 >> n
    for _ in range(16):
        s = m * m
        b = s >> 63
        m = s >> 31 + b
        n = 2 * n + b
    return n


SIN = [math.floor(16384 * math.sin(i * math.pi / 128) + 0.5) for i in range(256)]


def sin(i):
    return SIN[i % 256]


def cos(i):
    return SIN[(i + 64) % 256]


def direction(x, y):
    if x == 0 and y == 0:
        return 0
    low, high = 0, 64
    while low < high:
        j = -(-(low + high) // 2)
        if abs(y) * (cos(j - 1) + cos(j)) >= abs(x) * (sin(j - 1) + sin(j)):
            low = j
        else:
            high = j - 1
    if y >= 0:
        return low if x >= 0 else 128 - low
    return 128 + low if x < 0 else (256 - low) % 256


def rounded(a, b):
    return (2 * a + b) // (2 * b)


def towards_zero(a, b):
    return abs(a) // b * (1 if a >= 0 else -1)


class Steps:
    """What levels and indices stand for."""

    def __init__(self, image):
        self.ds, self.dp, self.da, self.dc, self.ac = image.constants
        self.plane_factors = [78 if plane in (U, V) else 60 for plane in image.planes]
        sigmas = [4 * (38968 + (4096 * k * self.ds + 50) // 100) ** 4 >> 48 for k in range(64)]
        self.sigmas = [s for s in sigmas if s <= 110 << 16]
        self.of = cache(self.of)

    def of(self, k0, k1):
        """(j, a, steps of the planes) of a Gaussian with these levels."""
        sigma = self.sigmas[min(k0, k1)]
        j = clamp(lg(self.dp * sigma // 60) - (1 << 20) + (1 << 15) >> 16, 0, 3)
        s1, s0 = sorted((self.sigmas[k0] >> 8, self.sigmas[k1] >> 8))
        a = 0
        if self.sigmas[k0] != self.sigmas[k1]:
            a = clamp(lg((s0 * s0 - s1 * s1) * 643398) - lg(1024 * s0 * s1 * self.da) + (1 << 15) >> 16, 1, 8)
        h = clamp(4 - (self.ac * (lg(s0 * s1) - 20 * 65536) + 50 * 65536) // (100 * 65536), 0, 6)
        scale = (16384, 23170, 32768, 46341, 65536, 92682, 131072)[h]
        return j, a, [max(1, 256 * self.dc * scale * f // 120000) for f in self.plane_factors]


# ---------------------------------------------------------------------------------------------------------------------- [7.7.4] sets


class SetDecoder:
    def __init__(self, io, model, steps, image, area, below):
        self.io, self.model, self.steps, self.image = io, model, steps, image
        self.coarse, self.column, self.row, self.columns, self.rows = area
        self.bits = 6 if self.coarse else 4
        self.below = [(symbol, colour) for coarse, symbols, colours in below if coarse == self.coarse
                      for symbol, colour in zip(symbols, colours) if self.is_inside(self.cell(symbol))]
        need(max(self.columns, self.rows) <= MAX_CELLS, "area of a set")

    def cell(self, symbol):
        """Column and row, from the image's edge."""
        j = self.steps.of(*symbol[2:4])[0]
        return [(2 * index + 1 << j) >> self.bits for index in symbol[:2]]

    def is_inside(self, cell):
        return self.column <= cell[0] < self.column + self.columns and self.row <= cell[1] < self.row + self.rows

    def number(self, name, *contexts):
        return Number(self.io, self.model, name, contexts) if self.model else FastNumber(self.io, name, contexts)

    def decode(self):
        """(symbols, colours): (x, y, k0, k1, angle index) of each Gaussian, and indices of its planes."""
        bits = self.number("count", 0 if self.coarse else 1).tree(4)
        n = (1 << bits | self.io.raw(bits)) - 1
        need(n <= MAX_GAUSSIANS, "number of Gaussians")
        if n == 0:
            return [], []
        counts = CellCounts(self, n).decode()
        cells = [cell for cell in sorted(counts, key=morton) for _ in range(counts[cell])]
        self.first = len(self.below)
        lower = [self.cell(symbol) for symbol, _ in self.below]
        self.cells = np.array(lower + [(x + self.column, y + self.row) for x, y in cells], np.int64)
        self.near = {i: self.nearest(i) for i in range(self.first, self.first + n)}
        self.symbols = [symbol for symbol, _ in self.below]
        for i in range(self.first, self.first + n):
            self.symbols.append(self.symbol(i))
        return self.symbols[self.first:], self.colours()

    def nearest(self, i):
        """[(number, distance)] of up to 32 others."""
        squares = ((self.cells - self.cells[i]) ** 2).sum(axis=1)
        order = [int(o) for o in np.lexsort((np.arange(len(squares)), squares)) if o != i][:32]
        return [(o, math.isqrt(int(squares[o]) << 2 * (self.bits + 1))) for o in order]

    def symbol(self, i):
        near, earlier = self.near[i], [(self.symbols[o], d) for o, d in self.near[i] if o < i]
        t3 = sum(d for _, d in near[:3]) // 3 if len(near) >= 3 else 8 << self.bits + 1
        t8 = near[7][1] if len(near) >= 8 else 12 << self.bits + 1
        q3, q8 = (clamp(3 * (lg(t) - (1 << 18)) + (1 << 15) >> 16, 0, 30) for t in (t3, t8))
        mean, spread = 64, 30
        if earlier:
            weights = [((1 << 20) // (32 + d), s) for s, d in earlier[:4]]
            total = sum(w for w, _ in weights)
            mean = min(rounded(sum(w * (s[2] + s[3]) for w, s in weights), 2 * total), 63)
            spread = rounded(sum(w * (s[2] - s[3]) for w, s in weights), total)
        s = self.number("sum", q3 // 2 * 32 + q8 // 2, mean, (q3 + q8) // 3 * 33 + mean // 2).unsigned()
        half = self.number("difference", s // 2, 16 * (s & 1) + min(spread, 15), q3 // 2 * 22 + min(s, 63) // 3).unsigned()
        k0 = (s + 2 * half + (s & 1)) // 2
        k1 = s - k0
        need(k1 >= 0 and k0 < len(self.steps.sigmas), "levels of a Gaussian")
        j, a, _ = self.steps.of(k0, k1)
        sub = self.bits - 1 - j
        x, y = ((int(c) << sub) | self.io.raw(sub) for c in self.cells[i])
        return x, y, k0, k1, self.angle(earlier, a) if a else 0

    def angle(self, earlier, a):
        x = y = total = found = 0
        for (_, _, k0, k1, index), distance in earlier:
            e = lg(self.steps.sigmas[k0]) - lg(self.steps.sigmas[k1])
            if e < 4727 or found == 5:
                continue
            w = (min(e, 141822) << 16) // (48 + distance) ** 2
            doubled = index << 8 - self.steps.of(k0, k1)[1]
            x, y, total, found = x + w * cos(doubled), y + w * sin(doubled), total + w, found + 1
        x, y = x >> 14, y >> 14
        c = kind = p = 0
        if found and total:
            c = math.isqrt(x * x + y * y) * 256 // total
            kind = 1 + sum(c >= bound for bound in (90, 166, 218))
            p = ((direction(x, y) << a) + 128 >> 8) % (1 << a)
        top = min(a, 6)
        coded = self.number("angle", 8 * a + kind, 8 * a + min(6 * c >> 8, 7), 16 * a + (16 * p >> a)).tree(top)
        coded = coded << a - top | self.io.raw(a - top)
        return (coded + p - (1 << a - 1)) % (1 << a)

    def colours(self):
        symbols = self.symbols
        order = sorted(range(self.first, len(symbols)), key=lambda i: (-((symbols[i][2] + symbols[i][3]) // 3), i))
        self.shapes = [self.covariance(s) for s in symbols]
        self.values, indices, sums = {}, {}, [0] * len(self.image.planes)
        for i, (symbol, colour) in enumerate(self.below):
            self.values[i] = [clamp(index * z, -MAX_VALUE, MAX_VALUE) for index, z in zip(colour, self.steps.of(*symbol[2:4])[2])]
            sums = [total + v for total, v in zip(sums, self.values[i])]
        for i in order:
            means = [towards_zero(total, len(self.values)) if self.values else 0 for total in sums]
            indices[i], self.values[i] = self.colour(i, means)
            sums = [total + v for total, v in zip(sums, self.values[i])]
        return [indices[i] for i in range(self.first, len(symbols))]

    def covariance(self, symbol):
        """Centre in eighths, then xx, xy, yy in units of 2^-8 square pixels."""
        x, y, k0, k1, index = symbol
        j, a, _ = self.steps.of(k0, k1)
        i = index << 8 - a
        c, s = (f(i >> 1) if i % 2 == 0 else towards_zero(f(i >> 1) + f((i >> 1) + 1), 2) for f in (cos, sin))
        v0, v1 = (self.steps.sigmas[k] ** 2 >> 24 for k in (k0, k1))
        return (2 * x + 1 << j, 2 * y + 1 << j), (c * c * v0 + s * s * v1 >> 28, c * s * (v0 - v1) >> 28, s * s * v0 + c * c * v1 >> 28)

    def weight(self, i, o):
        (xi, yi), mine = self.shapes[i]
        (xo, yo), other = self.shapes[o]
        xx, xy, yy = (towards_zero(m, 2) + n + more for m, n, more in zip(mine, other, (256, 0, 256)))
        dx, dy = xo - xi, yo - yi
        top = max(yy * dx * dx - 2 * xy * dx * dy + xx * dy * dy, 0)
        d = min(top // max(xx * yy - xy * xy >> 10, 1), 1 << 24) + 38
        return (1 << 40) // (d * math.isqrt(256 * d))

    def colour(self, i, means):
        """Indices and values of a Gaussian's planes."""
        known = [o for o, _ in self.near[i] if o in self.values][:12]
        weights = [self.weight(i, o) for o in known]
        total = sum(weights) + 335544
        steps = self.steps.of(*self.symbols[i][2:4])[2]
        wq = clamp(lg(total) - 18 * 65536 >> 16, 0, 12)
        prev, g, indices, values = 0, 0, [], []
        for plane, (z, mean) in enumerate(zip(steps, means)):
            terms = [(w, self.values[o][plane]) for w, o in zip(weights, known)] + [(335544, mean)]
            expected = sum(w * v for w, v in terms) // total
            square = sum(w * (v >> 12) ** 2 for w, v in terms) // total
            deviation = math.isqrt(max(square - (expected >> 12) ** 2, 0))
            sq = clamp(2 * (lg(max(deviation << 12, z // 4)) - lg(z)) + (1 << 18) + (1 << 15) >> 16, 0, 15)
            if plane == 0:
                fine, s0 = clamp(2 * (24 * 65536 - lg(z)) + (1 << 15) >> 16, 0, 31), sq
            coded = self.number(self.image.planes[plane], 5 * sq + min(len(known), 4), 32 * wq + 2 * min(prev, 12) + (plane > 0),
                                16 * fine + s0, 64 * g + 8 * min(prev, 6) + sq // 2).signed()
            index = coded + rounded(expected, z)
            need(abs(index) <= MAX_INDEX, "colour index")
            prev, g = (prev + 2 * abs(coded) + 1) // 2, (coded > 0) - (coded < 0) + 1
            indices.append(index)
            values.append(clamp(index * z, -MAX_VALUE, MAX_VALUE))
        return indices, values


def morton(cell):
    column, row = cell
    return sum((column >> b & 1) << 2 * b | (row >> b & 1) << 2 * b + 1 for b in range(16))


class CellCounts:
    """[7.7.5] How many Gaussians each cell has."""

    def __init__(self, owner, n):
        self.owner, self.nodes = owner, {(0, 0): n}
        self.below = [(x - owner.column, y - owner.row) for x, y in (owner.cell(symbol) for symbol, _ in owner.below)]
        self.halvings = [(side - 1).bit_length() for side in (owner.columns, owner.rows)]
        self.edges = (owner.columns, owner.rows)

    def decode(self):
        """{(column, row): count} of the cells that are not empty, from the area's corner."""
        left = list(self.halvings)
        while sum(left):
            axis = 0 if left[0] >= left[1] else 1
            self.level(axis, left)
            left[axis] -= 1
        return self.nodes

    def level(self, axis, left):
        halvings, half, first = min(sum(left), 15), 1 << left[axis] - 1, {}
        self.lower = {}  # of halves, how many Gaussians of the layers below lie in them
        for cell in self.below:
            child = tuple(at >> left[d] - (d == axis) for d, at in enumerate(cell))
            self.lower[child] = self.lower.get(child, 0) + 1
        for place in sorted(self.nodes, key=lambda p: (p[1], p[0])):  # nodes without Gaussians are left out
            n = self.nodes[place]
            if not n:
                continue
            if (2 * place[axis] + 1) * half >= self.edges[axis]:
                first[place] = n
                continue
            first[place] = self.first_half(n, halvings, self.balance(place, axis, first, left))
        nodes = {}
        for place, n in self.nodes.items():
            for side, count in enumerate((first.get(place, 0), n - first.get(place, 0))):
                child = list(place)
                child[axis] = 2 * place[axis] + side
                if count:
                    nodes[tuple(child)] = count
        self.nodes = nodes

    def balance(self, place, axis, first, left):
        def moved(direction, by):
            p = list(place)
            p[direction] += by
            return tuple(p)

        def second(p):
            return self.nodes.get(p, 0) - first.get(p, 0)

        before, after, across = moved(axis, -1), moved(axis, 1), moved(1 - axis, -1)
        along = 1 << self.halvings[axis] - left[axis]  # nodes along the axis
        d1 = (2 * second(before) if place[axis] else 1) + first.get(across, 0)
        d2 = (self.nodes.get(after, 0) if place[axis] + 1 < along else 1) + second(across)
        halves = ([*place], [*place])
        for side in (0, 1):
            halves[side][axis] = 2 * place[axis] + side
        d = d1 - d2 + self.lower.get(tuple(halves[0]), 0) - self.lower.get(tuple(halves[1]), 0)
        return 0 if d < -2 else 1 if d < 0 else 2 if d == 0 else 3 if d < 3 else 4

    def first_half(self, n, halvings, balance):
        if n <= 12:
            return self.owner.number("small", (16 * n + halvings) * 5 + balance, 5 * n + balance).search(n, min(n, 4))
        unit = max(1, math.isqrt(n) // 2)
        q = self.owner.number("large", halvings, balance).signed()
        first = n // 2 + q * unit + self.owner.io.raw((unit - 1).bit_length())
        need(0 <= first <= n, "count of a cell")
        return first
