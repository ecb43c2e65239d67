"""Primitive values, bit strings and tables of the mcodec format, written from format-spec/SPEC.md sections 1 and 7.3 alone."""
from functools import cached_property

import numpy as np
import zstandard
from xxhash import xxh3_64_intdigest

MAX_WINDOW = 8 << 20


class Refused(Exception):
    """What SPEC.md calls to refuse: something is damaged."""


class Unsupported(Refused):
    """Refused, but not damaged: for a newer reader, or one with another file or other limits."""


def need(condition, text, error=Refused):
    if not condition:
        raise error(text)


class Cursor:
    """Bounds-checked reads of a byte string."""

    def __init__(self, data, at=0, end=None):
        self.data, self.at, self.end = data, at, len(data) if end is None else end
        need(0 <= at <= self.end <= len(data), "range outside of the data")

    def take(self, n):
        need(n <= self.end - self.at, "ends too early")
        self.at += n
        return bytes(self.data[self.at - n:self.at])

    def rest(self):
        return self.take(self.end - self.at)

    def uint(self, n):
        return int.from_bytes(self.take(n), "little")

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.uint(1)
            value |= (byte & 127) << shift
            need(value < 1 << 64, "varint above 64 bits")
            if byte < 128:
                need(byte or not shift, "varint is not minimal")
                return value
            shift += 7
            need(shift < 70, "varint too long")

    def svarint(self):
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def text(self, n=None):
        try:
            return self.take(self.varint() if n is None else n).decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("not UTF-8") from None

    def varints(self):
        values = []
        while self.at < self.end:
            values.append(self.varint())
        return values

    def done(self, what):
        need(self.at == self.end, f"bytes left over after {what}")


def xxh3(seed, data):
    return xxh3_64_intdigest(data, seed=seed)


def varint_length(value):
    return max(1, (value.bit_length() + 6) // 7)


def parse_fields(data):
    """[(id, critical, value)]"""
    cursor, fields, last = Cursor(data), [], -1
    while cursor.at < cursor.end:
        key = cursor.varint()
        need(key >> 1 > last, "field ids do not ascend")
        last = key >> 1
        fields.append((last, bool(key & 1), cursor.take(cursor.varint())))
    return fields


def unknown_fields(fields, known):
    return [{"id": i, "critical": c, "value": v.hex()} for i, c, v in fields if i not in known]


def natural(name):
    """A sort key for the natural order of a byte string [3.3]."""
    tokens, at = [], 0
    while at < len(name):
        end = at
        while end < len(name) and 48 <= name[end] <= 57:
            end += 1
        if end > at:
            digits = name[at:end].lstrip(b"0")
            tokens.append((48, len(digits), digits))
        else:
            end = at + 1
            tokens.append((name[at], 0, b""))
        at = end
    return tokens, name


def zstd(data, length, what):
    """The one zstd frame that `data` is."""
    try:
        parameters = zstandard.get_frame_parameters(data)
        need(parameters.content_size == length, f"{what}: zstd frame of another length")
        need(parameters.dict_id == 0 and parameters.window_size <= MAX_WINDOW, f"{what}: zstd frame asks too much")
        decoder = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()
        decoded = decoder.decompress(data)
    except zstandard.ZstdError as error:
        raise Refused(f"{what}: {error}") from None
    need(decoder.eof and not decoder.unused_data and len(decoded) == length, f"{what}: zstd frame cut or followed by bytes")
    return decoded


class BitReader:
    """Reads the bits of data[at:end], the lowest of each byte first."""

    def __init__(self, data, at=0, end=None):
        self.data, self.start, self.at = data, at, 8 * at
        self.end = 8 * (len(data) if end is None else end)

    def bits(self, n):
        need(n <= self.end - self.at, "bit string too short")
        value = int.from_bytes(self.data[self.at >> 3:(self.at + n + 7) >> 3], "little") >> (self.at & 7)
        self.at += n
        return value & ((1 << n) - 1)

    def golomb(self, k):
        zeros = 0
        while not self.bits(1):
            zeros += 1
            need(k + zeros <= 20, "Golomb code too long")
        return (1 << (k + zeros)) + self.bits(k + zeros) - (1 << k)

    def close(self, what):
        """The bytes that were read; the bits that fill the last must be zero."""
        need(self.bits(-self.at % 8) == 0, f"fill bits of a {what}")
        return (self.at >> 3) - self.start


LEVEL_STEPS = [65536, 71468, 77936, 84990, 92682, 101070, 110218, 120194]


class Table:
    """A table [7.3] and the lookup of every slot: symbol value, frequency, bias."""

    def __init__(self, data):
        need(len(data) >= 2, "table too short")
        bits = BitReader(data)
        self.precision, code, zero, count = bits.bits(4) + 8, bits.bits(2), bits.bits(2), bits.bits(8) + 1
        need(10 <= self.precision <= 15 and code <= 2, "head of a table", Unsupported)
        need(zero == 0, "zero bits of a table's head")
        buckets = 64 << code
        need(count <= buckets, "more symbols than buckets")
        values = [bits.golomb(4)]
        for _ in range(count - 1):
            values.append(values[-1] + 1 + bits.golomb(0))
        levels = [bits.golomb(4)]
        for _ in range(count - 1):
            step = bits.golomb(1)
            levels.append(levels[-1] + ((step >> 1) ^ -(step & 1)))
        need(values[-1] < 1 << 16 and all(0 <= level <= 127 for level in levels), "values or levels of a table")
        self.length = bits.close("table")
        self.values, self.buckets = values, buckets
        self.frequencies = frequencies_of(levels, self.precision)

    @cached_property
    def lookup(self):
        return alias_slots(self.values, self.frequencies, self.buckets, self.precision)


def frequencies_of(levels, precision):
    need(len(levels) <= 1 << precision, "more symbols than slots")
    weights = [LEVEL_STEPS[level & 7] << (level >> 3) for level in levels]
    total = sum(weights)
    frequencies = [max(1, (w << precision) // total) for w in weights]
    largest = frequencies.index(max(frequencies))
    frequencies[largest] += (1 << precision) - sum(frequencies)
    need(frequencies[largest] >= 1, "frequency below one")
    return frequencies


def alias_slots(values, frequencies, buckets, precision):
    """[7.3] Slots: arrays of symbol value, frequency and bias, indexed by slot."""
    per_bucket = (1 << precision) // buckets
    rest = list(frequencies) + [0] * (buckets - len(values))
    own, alias = [per_bucket] * buckets, list(range(buckets))

    def first(start, is_large):
        return next((s for s in range(start, buckets) if (rest[s] >= per_bucket) == is_large), buckets)

    large, small = first(0, True), first(0, False)
    following = small + 1
    while large < buckets and small < buckets:
        own[small], alias[small] = rest[small], large
        rest[large] -= per_bucket - rest[small]
        if rest[large] >= per_bucket or following <= large:
            small = first(following, False)
            following = small + 1
        else:
            small = large
        large = first(large, True)
    ranks = [own[s] if s < len(values) else 0 for s in range(buckets)]
    symbol, frequency, bias = (np.zeros(1 << precision, np.uint64) for _ in range(3))
    for bucket in range(buckets):
        for slot in range(per_bucket):
            at = bucket * per_bucket + slot
            s = bucket if slot < own[bucket] else alias[bucket]
            need(s < len(values), "slot of no symbol")
            if s == bucket:
                rank = slot
            else:
                rank, ranks[s] = ranks[s], ranks[s] + 1
            symbol[at], frequency[at], bias[at] = values[s], frequencies[s], rank
    return symbol, frequency, bias


def packed_length(n, width):
    return (n * width + 7) // 8


def unpack(data, width, n):
    """n symbols of `width` bits, lowest bit first."""
    need(len(data) == packed_length(n, width), "length of packed symbols")
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    need(not bits[n * width:].any(), "fill bits of packed symbols")
    symbols = np.zeros(n, np.uint64)
    for bit in range(width):
        symbols |= bits[bit:n * width:width].astype(np.uint64) << np.uint64(bit)
    return symbols
