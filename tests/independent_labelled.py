"""Labelled floats (coding 2), written from format-spec/SPEC.md section 7.4 alone; for independent_coding.py."""
from functools import lru_cache

import numpy as np

from independent_values import BitReader, Cursor, Refused, Table, Unsupported, alias_slots, need, packed_length, unpack

FORMATS = {0: (8, 7), 1: (5, 10), 2: (8, 23), 3: (11, 52)}  # bits of exponent and mantissa
SYMBOLS, ZERO, ESCAPE = 64, 62, 63
CLASSES, COLUMN_LABELS = 5, 6  # entry kinds
MAX_COLUMNS, MAX_LABELS = 1 << 40, 1 << 20


def read_list(cursor, n, least, most):
    """[7.4.1] n integers of least..most."""
    if n == 0:
        return np.zeros(0, np.int64)
    mode, base = cursor.uint(1), cursor.svarint()
    if mode == 16:
        need(least <= base <= most, "value of a list")
        return np.full(n, base, np.int64)
    need(mode < 16 and -1 << 14 <= base < 1 << 14, "mode or base of a list")
    bits, values, reference = BitReader(cursor.data, cursor.at, cursor.end), [], base
    for _ in range(n):
        code = bits.golomb(mode & 7)
        values.append(reference + ((code >> 1) ^ -(code & 1)))
        need(least <= values[-1] <= most, "value of a list")
        reference = values[-1] if mode & 8 else base
    cursor.take(bits.close("list"))
    return np.array(values, np.int64)


class Classes:
    """[7.4.2]"""

    def __init__(self, data):
        cursor = Cursor(data)
        kind, self.m, self.precision, count, tables, flags = (cursor.uint(1) for _ in range(6))
        need(kind in FORMATS, f"float format {kind}", Unsupported)
        self.exponent, self.mantissa = FORMATS[kind]
        need(self.m <= 3, "mantissa bits of a symbol")
        need(10 <= self.precision <= 12, "precision of classes", Unsupported)
        need(1 <= count <= 64 and 1 <= tables <= 16, "number of classes or tables")
        need(flags <= 2, "flags of classes")
        self.table = read_list(cursor, count, 0, tables - 1)
        self.offset = read_list(cursor, count, 0, (1 << self.exponent) - 1) << self.m
        self.signs, self.codes = flags == 1, None
        if flags == 2:
            self.codes = [self.read_codes(cursor) for _ in range(tables)]
        else:
            lookups = [self.read_table(cursor) for _ in range(tables)]
            self.symbol, self.frequency, self.bias = (np.concatenate(column).astype(np.int64) for column in zip(*lookups))
        if self.signs:
            self.first_octave = cursor.uint(1)
            need(self.first_octave <= 63, "first octave")
            self.probabilities = read_list(cursor, 112, 1, 127)
        cursor.done("classes")

    def read_table(self, cursor):
        table = Table(cursor.data[cursor.at:cursor.end])
        cursor.take(table.length)
        need(table.precision == self.precision and table.values[-1] < SYMBOLS, "table of classes")
        frequencies = [0] * SYMBOLS
        for value, frequency in zip(table.values, table.frequencies):
            frequencies[value] = frequency
        return alias_slots(range(SYMBOLS), frequencies, SYMBOLS, self.precision)

    def read_codes(self, cursor):
        """The symbol of each code, by its length and bits (the first one highest)."""
        lengths = read_list(cursor, SYMBOLS, 0, self.precision).tolist()
        need(sum(1 << (self.precision - n) for n in lengths if n) == 1 << self.precision, "prefix code that is not full")
        symbols, code, last = {}, -1, 0
        for n, symbol in sorted((n, symbol) for symbol, n in enumerate(lengths) if n):
            code, last = (code + 1) << (n - last), n
            symbols[n, code] = symbol
        return symbols

    @property
    def high_bits(self):
        return self.exponent + self.m

    @property
    def low_bits(self):
        return self.mantissa - self.m


class Labels:
    """[7.4.3]"""

    def __init__(self, cursor):
        self.columns, flags = cursor.varint(), cursor.uint(1)
        need(1 <= self.columns <= MAX_LABELS and flags <= 3, "column labels")
        self.classes = read_list(cursor, self.columns, 0, 63) if flags & 1 else np.zeros(self.columns, np.int64)
        self.has_biases = bool(flags & 2)
        self.biases = read_list(cursor, self.columns, -14, 14) if flags & 2 else np.zeros(self.columns, np.int64)


@lru_cache(maxsize=64)
def shared_classes(data):
    return Classes(data)


@lru_cache(maxsize=64)
def shared_labels(data):
    cursor = Cursor(data)
    labels = Labels(cursor)
    cursor.done("column labels")
    return labels


class Head:
    """What a payload begins with [7.4.4]; needs no shared object."""

    def __init__(self, cursor):
        need(cursor.uint(1) == 1, "not labelled")
        flags, self.classes, self.columns, self.first = cursor.uint(1), cursor.varint(), cursor.varint(), cursor.varint()
        need(flags < 16 and flags & 3 != 3, "flags of labelled floats")
        need(1 <= self.columns <= MAX_COLUMNS and self.first < self.columns, "columns of labelled floats")
        self.zeros, self.absorbed = bool(flags & 4), bool(flags & 8)
        self.form = ("none", "shared", "inline")[flags & 3]
        self.labels = cursor.varint() if flags & 1 else None


class Payload:
    """[7.4.4] A labelled chunk of `length` bytes, up to its words."""

    def __init__(self, payload, length, dependency_bytes):
        cursor = Cursor(payload)
        self.head = head = Head(cursor)
        self.shared = classes = shared_classes(dependency_bytes(head.classes, CLASSES))
        unit = 1 + classes.exponent + classes.mantissa
        need(length > 0 and 8 * length % unit == 0, "length is not a multiple of the float's")
        self.n = 8 * length // unit
        labels = Labels(cursor) if head.form == "inline" else None
        if head.form == "shared":
            labels = shared_labels(dependency_bytes(head.labels, COLUMN_LABELS))
        need(labels is None or labels.columns == head.columns, "labels of another number of columns")
        need(labels is None or classes.signs or not labels.has_biases, "biases without signs")
        rows = -(-(head.first + self.n) // head.columns)
        row_classes = read_list(cursor, rows, 0, 63)
        row_zeros = read_list(cursor, rows, 0, classes.low_bits) if head.zeros else np.zeros(rows, np.int64)
        place = head.first + np.arange(self.n, dtype=np.int64)
        column, row = place % head.columns, place // head.columns
        need(row_classes.max() + (0 if labels is None else labels.classes.max()) < len(classes.table), "class of an element")
        self.element_class = row_classes[row] + (0 if labels is None else labels.classes[column])
        self.element_bias = np.zeros(self.n, np.int64) if labels is None else labels.biases[column]
        self.element_zeros = row_zeros[row]
        self.escape_count, lane_bits = cursor.varint(), cursor.uint(1)
        need(lane_bits <= 6, "lane count", Unsupported)
        self.lanes = 1 << lane_bits
        if classes.codes is not None:
            need(not head.absorbed, "prefix codes that hold plane bits")
            start = cursor.at
            lengths = [cursor.varint() for _ in range(self.lanes)]
            self.state_bytes = cursor.at - start
            self.read_planes(cursor)
            need(self.escape_count <= self.n, "more escapes than elements")
            self.escapes = cursor.take(packed_length(self.escape_count, classes.high_bits))
            self.packed_length = len(self.planes) + len(self.escapes)
            need(sum(lengths) == cursor.end - cursor.at, "bit strings of prefix codes")
            self.strings = [cursor.take(length) for length in lengths]
            self.coded_length = sum(lengths)
            return
        bits = BitReader(cursor.data, cursor.at, cursor.end)
        sizes = [16 + bits.bits(4) for _ in range(self.lanes)]
        self.states = np.array([(1 << size) + bits.bits(size) for size in sizes], np.int64)
        self.state_bytes = bits.close("states")
        cursor.take(self.state_bytes)
        self.read_planes(cursor)
        need(self.escape_count <= self.n, "more escapes than elements")
        self.escapes = cursor.take(packed_length(self.escape_count, classes.high_bits))
        self.packed_length = len(self.planes) + len(self.escapes)
        need((cursor.end - cursor.at) % 2 == 0, "half a rANS word")
        self.words = np.frombuffer(cursor.rest(), "<u2").astype(np.int64)
        self.coded_length = 2 * len(self.words)

    def read_planes(self, cursor):
        self.low_width = self.shared.low_bits - self.element_zeros
        self.low_length = packed_length(int(self.low_width.sum()), 1)
        self.stored_signs = np.flatnonzero(self.element_bias == 0)
        length = self.low_length + packed_length(len(self.stored_signs), 1)
        self.held = 31 * self.lanes // 8 if self.head.absorbed else 0
        need(length >= self.held, "planes shorter than what the states hold")
        self.planes = cursor.take(length - self.held)

    def decode(self):
        classes, (symbols, minus) = self.shared, self.stream() if self.shared.codes is None else self.prefix_codes()
        self.planes += b"" if classes.codes is not None else self.held_bytes()
        high = (classes.offset[self.element_class] + symbols) % (1 << classes.high_bits)
        high[symbols == ZERO] = 0
        escaped = np.flatnonzero(symbols == ESCAPE)
        need(len(escaped) == self.escape_count, "number of escapes")
        high[escaped] = unpack(self.escapes, classes.high_bits, self.escape_count).astype(np.int64)
        bits = fill_is_zero(self.planes[:self.low_length], int(self.low_width.sum()))
        start, low = np.cumsum(self.low_width) - self.low_width, np.zeros(self.n, np.uint64)
        for bit in range(int(self.low_width.max())):
            has = np.flatnonzero(self.low_width > bit)
            low[has] |= bits[start[has] + bit].astype(np.uint64) << np.uint64(bit)
        low <<= self.element_zeros.astype(np.uint64)
        minus[self.stored_signs] = fill_is_zero(self.planes[self.low_length:], len(self.stored_signs))
        unit = 1 + classes.exponent + classes.mantissa
        units = minus.astype(np.uint64) << np.uint64(unit - 1) | high.astype(np.uint64) << np.uint64(classes.low_bits) | low
        return units.astype(f"<u{unit // 8}").tobytes()

    def stream(self):
        """(symbols, whether minus) of the elements; the second only where a column is biased."""
        classes, states, at = self.shared, self.states, 0
        symbols, minus = np.zeros(self.n, np.int64), np.zeros(self.n, np.int64)
        table = classes.table[self.element_class] << classes.precision
        for start in range(0, self.n, self.lanes):
            end = min(start + self.lanes, self.n)
            lane = np.arange(end - start)
            slot = table[start:end] + (states[lane] & ((1 << classes.precision) - 1))
            symbols[start:end] = classes.symbol[slot]
            at = self.renew(lane, classes.frequency[slot] * (states[lane] >> classes.precision) + classes.bias[slot], at)
            lane = np.flatnonzero(self.element_bias[start:end])
            if len(lane):
                bias, symbol = self.element_bias[start + lane], symbols[start + lane]
                d = np.clip((symbol >> classes.m) - classes.first_octave, 0, 7)
                d[symbol >= ZERO] = 0
                p, x = classes.probabilities[8 * (np.abs(bias) - 1) + d], states[lane]
                common = (x & 127) < p
                minus[start + lane] = common == (bias < 0)
                at = self.renew(lane, np.where(common, p * (x >> 7) + (x & 127), (128 - p) * (x >> 7) + (x & 127) - p), at)
        need(at == len(self.words), "rANS words left over")
        return symbols, minus

    def prefix_codes(self):
        """As `stream`, of bit strings."""
        strings = [np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").tolist() for data in self.strings]
        at, symbols = [0] * self.lanes, np.zeros(self.n, np.int64)
        for i, table in enumerate(self.shared.table[self.element_class].tolist()):
            lane, length, code, found = i % self.lanes, 0, 0, None
            while found is None:
                need(at[lane] < len(strings[lane]), "bit string of prefix codes runs out")
                code, length = code << 1 | strings[lane][at[lane]], length + 1
                at[lane] += 1
                found = self.shared.codes[table].get((length, code))
            symbols[i] = found
        for bits, end in zip(strings, at):
            need(len(bits) - end < 8 and not any(bits[end:]), "end of a bit string of prefix codes")
        return symbols, np.zeros(self.n, np.int64)

    def renew(self, lane, x, at):
        """New states of these lanes, with words taken in their order; the place after the words."""
        low = np.flatnonzero(x < 1 << 16)
        need(at + len(low) <= len(self.words), "rANS words run out")
        x[low] = x[low] << 16 | self.words[at:at + len(low)]
        self.states[lane] = x
        return at + len(low)

    def held_bytes(self):
        if not self.head.absorbed:
            need((self.states == 1 << 16).all(), "rANS stream does not end as it must")
            return b""
        need((self.states >= 1 << 31).all(), "rANS state without its highest bit")
        value = sum((int(x) & 0x7FFFFFFF) << (31 * i) for i, x in enumerate(self.states))
        need(value >> (8 * self.held) == 0, "fill bits of the states")
        return value.to_bytes(self.held, "little")


def fill_is_zero(data, n):
    """The n bits of `data`, of which the rest must be zero."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    need(not bits[n:].any(), "fill bits of a plane")
    return bits[:n]


def labelled_twin(payload, context):
    """What the twin says of a payload: its head and, if it can be parsed, what its bytes are for.

    `context()` gives the decoded length and the content of dependencies.
    """
    head = Head(Cursor(payload))
    twin = {"classes": head.classes, "labels": head.form, "columns": head.columns, "first_column": head.first,
            "row_zeros": head.zeros, "absorbed": head.absorbed}
    try:
        parsed = Payload(payload, *context())
    except Refused:
        return twin  # decoding says why
    states, packed, words = parsed.state_bytes, parsed.packed_length, parsed.coded_length
    twin["lanes"] = parsed.lanes
    twin["bytes"] = {"labels": len(payload) - states - packed - words, "states": states, "packed": packed, "entropy_coded": words}
    return twin


def decode_labelled(payload, length, dependency_bytes):
    return Payload(payload, length, dependency_bytes).decode()
