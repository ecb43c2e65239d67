"""Differences from a base, written from format-spec/SPEC.md section 7.6 alone; for independent_reader.py."""
from functools import lru_cache

from independent_labelled import FORMATS, MAX_COLUMNS, MAX_LABELS, read_list
from independent_values import Cursor, Refused, Table, Unsupported, alias_slots, frequencies_of, need

FORMS = {0: "stored", 1: "linear", 2: "same", 3: "xor", 4: "integer", 5: "alone"}
TABLES, COLUMNS = 7, 8  # entry kinds
CONTEXTS, SYMBOLS, PRECISION = 104, 64, 12
SAME, ESCAPE = 62, 63
QUARTERS = (65536, 77936, 92682, 110218)


class Bits:
    """A bit string, lowest bits first."""

    def __init__(self, data):
        self.value, self.length, self.at = int.from_bytes(data, "little"), 8 * len(data), 0

    def take(self, count):
        need(self.at + count <= self.length, "plane runs out")
        out = self.value >> self.at & ((1 << count) - 1)
        self.at += count
        return out

    def done(self):
        need(self.length - self.at < 8 and self.value >> self.at == 0, "bits left in a plane")


class Stream:
    """[7.6.2] What is left of a payload or object."""

    def __init__(self, cursor):
        length, lane_bits = cursor.varint(), cursor.uint(1)
        need(lane_bits <= 6, "lane count", Unsupported)
        self.lanes, self.next, self.at = 1 << lane_bits, 0, 0
        self.states = [cursor.uint(4) for _ in range(self.lanes)]
        need(min(self.states) >= 1 << 16, "rANS state")
        self.plane = cursor.take(length)
        self.bits = Bits(self.plane)
        rest = cursor.rest()
        need(len(rest) % 2 == 0, "half a rANS word")
        self.words = [int.from_bytes(rest[i:i + 2], "little") for i in range(0, len(rest), 2)]

    def symbol(self, lookup):
        x = self.states[self.next]
        symbol, frequency, bias = lookup[x & ((1 << PRECISION) - 1)]
        x = frequency * (x >> PRECISION) + bias
        if x < 1 << 16:
            need(self.at < len(self.words), "rANS words run out")
            x, self.at = x << 16 | self.words[self.at], self.at + 1
        self.states[self.next] = x
        self.next = (self.next + 1) % self.lanes
        return symbol

    def done(self):
        need(self.at == len(self.words) and all(x == 1 << 16 for x in self.states), "rANS stream does not end as it must")
        self.bits.done()


def lookup_of(values, frequencies):
    by_symbol = [0] * SYMBOLS
    for value, frequency in zip(values, frequencies):
        by_symbol[value] = frequency
    columns = alias_slots(range(SYMBOLS), by_symbol, SYMBOLS, PRECISION)
    return [tuple(int(x) for x in slot) for slot in zip(*columns)]


@lru_cache(maxsize=16)
def shared_tables(data):
    """[7.6.2] The lookup of each context."""
    cursor = Cursor(data)
    count = cursor.uint(1)
    need(1 <= count <= 64, "number of tables of differences")
    contexts = read_list(cursor, CONTEXTS, 0, count - 1)
    lookups = []
    for _ in range(count):
        table = Table(cursor.data[cursor.at:cursor.end])
        cursor.take(table.length)
        need(table.precision == PRECISION and table.values[-1] < SYMBOLS, "table of differences")
        lookups.append(lookup_of(table.values, table.frequencies))
    cursor.done("tables of differences")
    return [lookups[c] for c in contexts]


@lru_cache(maxsize=None)
def factor_lookup(t):
    """[7.6.3] The table of factors of class t, which has no bytes."""
    k = (3025560, 2139391)[t % 2] >> (t // 2)
    depths = [(s + 31, s * s * k >> 16) for s in range(-31, 32)]
    pairs = [(value, 127 - depth) for value, depth in depths if depth <= 88] + [(ESCAPE, 39)]
    values, levels = zip(*pairs)
    return lookup_of(values, frequencies_of(levels, PRECISION))


def signed(value, bits):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def factor(stream, c):
    low = 0 if c < 19 else (c - 15) // 4
    symbol = stream.symbol(factor_lookup(c - 4 * low))
    if symbol == ESCAPE:
        return signed(stream.bits.take(16), 16)
    return signed(((symbol - 31) << low) + stream.bits.take(low) - ((1 << low) >> 1), 16)


class Columns:
    """[7.6.3]"""

    def __init__(self, data):
        cursor = Cursor(data)
        self.count, flags = cursor.varint(), cursor.uint(1)
        need(1 <= self.count <= MAX_LABELS and flags <= 3, "columns of differences")
        self.labels = [int(x) for x in read_list(cursor, self.count, 0, 63)] if flags & 1 else [0] * self.count
        self.scales, self.row_classes, self.factors = [], [], []
        if flags & 2:
            rank = cursor.uint(1)
            need(1 <= rank <= min(64, self.count) and rank * self.count <= 1 << 21, "rank of factors")
            self.scales = [int(x) for x in read_list(cursor, rank, -127, 31)]
            rows, columns = ([int(x) - z for x, z in zip(read_list(cursor, rank, -127, 90), self.scales)] for _ in range(2))
            need(all(0 <= c <= 58 for c in rows + columns), "class of factors")
            self.row_classes = rows
            stream = Stream(cursor)
            self.factors = [[factor(stream, c) for _ in range(self.count)] for c in columns]
            stream.done()
        cursor.done("columns of differences")


@lru_cache(maxsize=16)
def shared_columns(data):
    return Columns(data)


class Head:
    """What linear differences begin with [7.6.5]; needs no shared object."""

    def __init__(self, cursor):
        flags, self.format, self.tables = cursor.uint(1), cursor.uint(1), cursor.varint()
        need(flags <= 2, "flags of differences")
        need(self.format in FORMATS, f"float format {self.format}", Unsupported)
        self.columns_at = ("none", "shared", "inline")[flags]
        self.shared = cursor.varint() if flags == 1 else None
        self.columns, self.first = cursor.varint(), cursor.varint()
        need(1 <= self.columns <= MAX_COLUMNS and self.first < self.columns, "columns of differences")


class Linear:
    """[7.6.5] A chunk of `length` bytes, up to its stream."""

    def __init__(self, cursor, length, dependency_bytes):
        self.head = head = Head(cursor)
        self.e, self.m = FORMATS[head.format]
        self.width = 1 + self.e + self.m
        need(length > 0 and 8 * length % self.width == 0, "length is not a multiple of the float's")
        self.n = 8 * length // self.width
        self.lookups = shared_tables(dependency_bytes(head.tables, TABLES))
        self.columns = None
        if head.columns_at == "shared":
            self.columns = shared_columns(dependency_bytes(head.shared, COLUMNS))
        elif head.columns_at == "inline":
            self.columns = Columns(cursor.take(cursor.varint()))
        need(self.columns is None or self.columns.count == head.columns, "labels of another number of columns")
        self.rows = -(-(head.first + self.n) // head.columns)
        self.labels = [int(x) for x in read_list(cursor, self.rows, -16384, 16383)]
        self.stream = Stream(cursor)

    def decode(self, base):
        size, out, at = self.width // 8, bytearray(), 0
        for row, label in enumerate(self.labels):
            first = self.head.first if row == 0 else 0
            count = min(self.head.columns - first, self.n - at)
            weights = self.row_weights()
            for j in range(first, first + count):
                x = int.from_bytes(base[size * at:size * (at + 1)], "little")
                own = 0 if self.columns is None else self.columns.labels[j]
                p = signed(sum(w * b[j] for w, b in weights), 32)
                out += self.element(x, label + own, p).to_bytes(size, "little")
                at += 1
        self.stream.done()
        return bytes(out)

    def row_weights(self):
        """[(w, factors of the columns)] of the components."""
        out = []
        for k, z in enumerate(self.columns.scales if self.columns else []):
            product, h = factor(self.stream, self.columns.row_classes[k]) * QUARTERS[z % 4], z // 4 + 4
            w = product << h if h >= 0 else (product + (1 << (-h - 1))) >> -h
            out.append((signed(w, 32), self.columns.factors[k]))
        return out

    def element(self, base, label, p):
        """[7.6.4]"""
        m, offset, sign = self.m, (1 << (self.e - 1)) - 1 + self.m, 1 << (self.e + self.m)
        exponent, places = (base & (sign - 1)) >> m, base & ((1 << m) - 1)
        code = max(exponent, 1)
        places += (1 << m) if exponent else 0
        unit = max(code, label // 4 - 2 + offset)
        q = label - 4 * (unit - offset)
        moved = (p * QUARTERS[q % 4]) >> min(63, 28 - q // 4)
        at = ((places << 8) >> min(62, unit - code)) + (-moved if base & sign else moved) + 128
        context = 4 * (max(q, -14) + 14) + ((at % 256) // 64 if q <= 8 else 0)
        symbol = self.stream.symbol(self.lookups[context])
        bits = self.stream.bits
        if symbol == SAME:
            return base
        if symbol == ESCAPE:
            return bits.take(self.width)
        n, half = (at >> 8) + symbol - 31, unit - 1
        if n == 0:
            magnitude, minus = 0, None
            while half > 1:
                half -= 1
                if bits.take(1) == 0:
                    found = self.floats(1, half)
                    need(found is not None, "no float there")
                    magnitude = self.join(*found)
                    break
            minus = bits.take(1) == 1
        else:
            halves = [c for c in (2 * abs(n) - 1, 2 * abs(n)) if self.holds(c, half)]
            need(halves, "no float there")
            chosen = halves[bits.take(1)] if len(halves) == 2 else halves[0]
            magnitude, minus = self.join(*self.floats(chosen, half)), n < 0
        return magnitude | (sign if minus != bool(base & sign) else 0)

    def holds(self, number, half):
        t = max(1, number.bit_length() - 1 + half - self.m)
        return t <= (1 << self.e) - 2 and (t <= half or number % (1 << (t - half)) == 0)

    def floats(self, number, half):
        """(places, code) of the float in half number `number` that the next bits say."""
        if not self.holds(number, half):
            return None
        t = max(1, number.bit_length() - 1 + half - self.m)
        if t > half:
            return number >> (t - half), t
        return (number << (half - t)) + self.stream.bits.take(half - t), t

    def join(self, places, code):
        return places if places < 1 << self.m else (code << self.m) + (places & ((1 << self.m) - 1))


def decode_difference(payload, length, dependency_bytes, base, decode_fields):
    """[7.6.1]"""
    need(len(base) == length, "length of a base")
    cursor = Cursor(payload)
    form = cursor.uint(1)
    need(form in FORMS, f"form of a difference {form}", Unsupported)
    if form == 1:
        return Linear(cursor, length, dependency_bytes).decode(base)
    if form == 0:
        need(cursor.end - cursor.at == length, "length of a stored chunk")
        return cursor.rest()
    if form == 2:
        cursor.done("the form")
        return base
    rest = cursor.rest()
    need(form != 4 or rest[:1] in (b"\x08", b"\x10", b"\x20", b"\x40"), "differences of units that no integer has")
    made = decode_fields(rest, length, 1, dependency_bytes)
    if form == 3:
        return bytes(a ^ b for a, b in zip(made, base))
    if form == 4:
        size, out = rest[0] // 8, bytearray()
        for i in range(0, length, size):
            c, x = (int.from_bytes(d[i:i + size], "little") for d in (made, base))
            out += ((x + ((c >> 1) ^ -(c & 1))) % (1 << 8 * size)).to_bytes(size, "little")
        return bytes(out)
    return made


def difference_twin(payload, context):
    """What the twin says of a payload: its form and head and, if it can be parsed, what its bytes are for."""
    cursor = Cursor(payload)
    form = cursor.uint(1)
    twin = {"form": FORMS.get(form, form)}
    if form != 1:
        return twin
    head = Head(cursor)
    twin.update(tables=head.tables, columns=head.columns, first_column=head.first, columns_at=head.columns_at)
    try:
        cursor = Cursor(payload)
        cursor.take(1)
        stream = Linear(cursor, *context()).stream
    except Refused:
        return twin  # decoding says why
    states, packed, words = 4 * stream.lanes, len(stream.plane), 2 * len(stream.words)
    twin["bytes"] = {"labels": len(payload) - states - packed - words, "states": states, "packed": packed, "entropy_coded": words}
    return twin
