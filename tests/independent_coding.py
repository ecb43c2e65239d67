"""Primitive values and codings of the mcodec format, written from format-spec/SPEC.md sections 1 and 7 alone; for independent_reader.py."""
import numpy as np
import zstandard
from xxhash import xxh3_64_intdigest

MAX_WINDOW, MAX_PATH = 8 << 20, 4096
FIELD_MODES = {0: "packed", 1: "constant", 2: "zstd", 3: "rans", 4: "rans-shared"}
NUMBERS_OF_MODE = (0, 1, 1, 1, 2)
DTYPES = {i: (n, int(b)) for i, (n, b) in enumerate((p.split(":") for p in (
    "F64:64 F32:32 F16:16 BF16:16 F8_E4M3:8 F8_E5M2:8 F8_E4M3FNUZ:8 F8_E5M2FNUZ:8 F8_E8M0:8 F6_E2M3:6 F6_E3M2:6 F4:4 I64:64 I32:32 "
    "I16:16 I8:8 I4:4 U64:64 U32:32 U16:16 U8:8 U4:4 BOOL:8 C64:64 C128:128").split()), 1)}
# id: name, elements, bytes of a block
BLOCKS = {int(i): (n, int(e), int(b)) for i, n, e, b in (p.split(":") for p in (
    "34:Q4_0:32:18 35:Q4_1:32:20 38:Q5_0:32:22 39:Q5_1:32:24 40:Q8_0:32:34 41:Q8_1:32:36 42:Q2_K:256:84 "
    "43:Q3_K:256:110 44:Q4_K:256:144 45:Q5_K:256:176 46:Q6_K:256:210 47:Q8_K:256:292 48:IQ2_XXS:256:66 "
    "49:IQ2_XS:256:74 50:IQ3_XXS:256:98 51:IQ1_S:256:50 52:IQ4_NL:32:18 53:IQ3_S:256:110 54:IQ2_S:256:82 "
    "55:IQ4_XS:256:136 61:IQ1_M:256:56 66:TQ1_0:256:54 67:TQ2_0:256:66 71:MXFP4:32:17 72:NVFP4:64:36 73:Q1_0:128:18 ").split())}


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


def escape(text):
    short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(short.get(c, c if c >= " " else f"\\u{ord(c):04x}") for c in text) + '"'


def is_safe(path):
    """[5.4] Whether a file's name can be joined to a folder."""
    controls = any(ord(c) < 32 or 127 <= ord(c) < 160 for c in path)
    bad = any(p in ("", ".", "..") or (p[1:2] == ":" and p[0].isascii() and p[0].isalpha()) for p in path.split("/"))
    return len(path.encode()) <= MAX_PATH and not controls and not bad and "\\" not in path


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
    def __init__(self, data):
        self.value, self.at, self.end = int.from_bytes(data, "little"), 0, 8 * len(data)

    def bits(self, n):
        need(n <= self.end - self.at, "bit string too short")
        self.at += n
        return (self.value >> (self.at - n)) & ((1 << n) - 1)

    def golomb(self, k):
        zeros = 0
        while not self.bits(1):
            zeros += 1
            need(k + zeros <= 20, "Golomb code too long")
        return (1 << (k + zeros)) + self.bits(k + zeros) - (1 << k)


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
        self.length = (bits.at + 7) // 8
        need(bits.bits(8 * self.length - bits.at) == 0, "fill bits of a table")
        self.values = values
        self.frequencies = frequencies_of(levels, self.precision)
        self.lookup = alias_slots(values, self.frequencies, buckets, self.precision)


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
    rest = frequencies + [0] * (buckets - len(values))
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


def rans(data, table, n):
    """[7.2] n symbols of a stream; the lanes of one round are done at once."""
    cursor = Cursor(data)
    lane_bits = cursor.uint(1)
    need(lane_bits <= 6, "lane count", Unsupported)
    lanes = 1 << lane_bits
    states = np.frombuffer(cursor.take(4 * lanes), "<u4").astype(np.uint64)
    need((states >= 1 << 16).all(), "rANS state")
    need((cursor.end - cursor.at) % 2 == 0, "half a rANS word")
    words = np.frombuffer(cursor.rest(), "<u2").astype(np.uint64)
    symbol, frequency, bias = table.lookup
    mask, precision, shift = np.uint64((1 << table.precision) - 1), np.uint64(table.precision), np.uint64(16)
    out, at = np.zeros(n, np.uint64), 0
    for start in range(0, n, lanes):
        m = min(lanes, n - start)
        x = states[:m]
        slot = x & mask
        out[start:start + m] = symbol[slot]
        x = frequency[slot] * (x >> precision) + bias[slot]
        low = np.flatnonzero(x < 1 << 16)
        need(at + len(low) <= len(words), "rANS words run out")
        x[low] = x[low] << shift | words[at:at + len(low)]
        at += len(low)
        states[:m] = x
    need(at == len(words) and (states == 1 << 16).all(), "rANS stream does not end as it must")
    return out


def unpack(data, width, n):
    """n symbols of `width` bits, lowest bit first."""
    need(len(data) == (n * width + 7) // 8, "length of packed symbols")
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    need(not bits[n * width:].any(), "fill bits of packed symbols")
    symbols = np.zeros(n, np.uint64)
    for bit in range(width):
        symbols |= bits[bit:n * width:width].astype(np.uint64) << np.uint64(bit)
    return symbols


def field_heads(cursor):
    unit, heads = cursor.uint(1), []
    if unit:
        need(unit in (8, 16, 32, 64), f"unit of {unit} bits", Unsupported)
        count = cursor.uint(1)
        need(1 <= count <= 8, "field count")
        for _ in range(count):
            width, mode = cursor.uint(1), cursor.uint(1)
            need(1 <= width <= 64, f"field of width {width}")
            need(mode in FIELD_MODES, f"field mode {mode}", Unsupported)
            need(mode < 3 or width <= 16, "field too wide for rANS")
            heads.append((width, mode, [cursor.varint() for _ in range(NUMBERS_OF_MODE[mode])]))
        need(sum(h[0] for h in heads) == unit, "widths do not sum to the unit")
    return unit, heads


def decode_chunk(payload, length, coding, dependency_bytes):
    if coding == 0:
        need(len(payload) == length, "length of a raw chunk")
        return payload
    cursor = Cursor(payload)
    if coding == 3:
        return decode_blocks(cursor, length)
    unit, heads = field_heads(cursor)
    if unit == 0:
        need(cursor.end - cursor.at == length, "length of a stored chunk")
        return cursor.rest()
    need(8 * length % unit == 0, "length is not a multiple of the unit")
    n, shift = 8 * length // unit, 0
    units = np.zeros(n, np.uint64)
    for width, mode, parameters in heads:
        units |= decode_field(cursor, width, mode, parameters, n, dependency_bytes) << np.uint64(shift)
        shift += width
    cursor.done("the last field")
    return units.astype(f"<u{unit // 8}").tobytes()


def decode_field(cursor, width, mode, parameters, n, dependency_bytes):
    packed_length = (n * width + 7) // 8
    if mode == 0:
        return unpack(cursor.take(packed_length), width, n)
    if mode == 1:
        need(parameters[0] < 1 << width, "constant too wide")
        return np.full(n, parameters[0], np.uint64)
    body = cursor.take(parameters[-1])
    if mode == 2:
        return unpack(zstd(body, packed_length, "field"), width, n)
    if mode == 3:
        table = Table(body)
        body = body[table.length:]
    else:
        shared = dependency_bytes(parameters[0])
        table = Table(shared)
        need(table.length == len(shared), "bytes after a shared table")
    need(table.values[-1] < 1 << width, "symbol too wide for its field")
    return rans(body, table, n)


# ------------------------------------------------------------------------------------------------------------------- [7.4] blocks

K_HEAD = "0; 1; 2; 3; 4 x [4 8 6 f0], 4 x [12 4 4 f0] + 2^4 [4 4 2 f6]; 4 x [8 8 6 f0], 4 x [12 4 4 f4] + 2^4 [8 4 2 f6] scaleK / 1; "
BLOCK_TYPES = {  # id: bytes of a block, components as SPEC.md writes them
    34: (18, "0; 1; 32 x [2 16 4] half(0) / 32"), 52: (18, "0; 1; 32 x [2 16 4] half(0) / 32"),
    35: (20, "0; 1; 2; 3 half(0) / 1; 32 x [4 16 4] zero / 32"),
    38: (22, "0; 1; 32 x [6 16 4] + 2^4 [2 1 1] half(0) / 32"),
    39: (24, "0; 1; 2; 3 half(0) / 1; 32 x [8 16 4] + 2^4 [4 1 1] zero / 32"),
    40: (34, "0; 1; 32 x [2 1 8] half(0) / 32"), 41: (36, "0; 1; 2; 3; 32 x [4 1 8] half(0) / 32"),
    42: (84, "80; 81; 82; 83; 16 x [0 16 4 f0]; 16 x [0 16 4 f4] scale2 / 1; 256 x [16 32 2] zero2 / 16"),
    43: (110, "108; 109; 16 x [96 8 4] + 2^4 [104 4 2]; 256 x [32 32 2] + 2^2 [0 32 1] scale3 / 16"),
    44: (144, K_HEAD + "256 x [16 32 4] zeroK / 32"), 45: (176, K_HEAD + "256 x [48 32 4] + 2^4 [16 32 1] zeroK / 32"),
    46: (210, "208; 209; 16 x [192 1 8]; 256 x [0 64 4] + 2^4 [128 32 2] signed(192) / 16"),
    47: (292, "0; 1; 2; 3; 256 x [4 1 8]; 16 x [260 1 8 s2]; 16 x [261 1 8 s2]"),
    48: (66, "0; 1; 32 x [2 4 8 s8]; 24 x [6 3 8 s8]; 8 x [9 1 4 s8 f0]; 8 x [9 1 4 s8 f4]"),
    49: (74, "0; 1; 32 x [2 1 8 s2]; 32 x [3 1 8 s2]; 16 x [66 1 4]"),
    50: (98, "0; 1; 64 x [2 1 8]; 24 x [66 3 8 s4]; 8 x [69 1 4 s4 f0]; 8 x [69 1 4 s4 f4]"),
    51: (50, "0; 1; 32 x [2 1 8]; 8 x [34 1 8 s2]; 8 x [35 1 4 s2 f0]; 8 x [35 1 4 s2 f4]"),
    53: (110, "0; 1; 64 x [2 1 8]; 8 x [66 1 8]; 32 x [74 1 8]; 8 x [106 1 4]"),
    54: (82, "0; 1; 32 x [2 1 8]; 32 x [34 1 8]; 8 x [66 1 8]; 16 x [74 1 4]"),
    55: (136, "0; 1; 8 x [4 1 4] + 2^4 [2 1 2]; 256 x [8 16 4] scale4 / 32"),
    61: (56, "32 x [0 1 8]; 32 x [32 1 4]; 4 x [48 1 8 s2]; 4 x [49 1 4 s2 f0]; 4 x [49 1 4 s2 f4]"),
    66: (54, "52; 53; 48 x [0 1 8]; 4 x [48 1 8]"), 67: (66, "64; 65; 256 x [0 32 2]"),
    71: (17, "0; 32 x [1 16 4] byte(0) / 32"), 72: (36, "4 x [0 1 8]; 64 x [4 8 4] byte(0) / 16"), 73: (18, "0; 1; 16 x [2 1 8]"),
}
PART_NUMBERS = (0, 0, 1, 1)


def plane_places(text, n):
    """[(byte, bit)] of the symbols of a plane, and its width."""
    words = text.strip("[] ").split()
    base, lanes, width = map(int, words[:3])
    stride, first, per_byte = lanes, 0, 8 // width
    for word in words[3:]:
        if word[0] == "s":
            stride = int(word[1:])
        else:
            first, per_byte = int(word[1:]), 1
    group = lanes * per_byte
    return [(base + j // group * stride + j % lanes, first + j % group // lanes * width) for j in range(n)], width


def block_components(text):
    """[(bits of each symbol as [(byte, bit, width, up)], width, key, per)]"""
    out = []
    for part in text.split("; "):
        body, key, per = part, None, 0
        if "/" in part:
            body, key = part.split(" / ")[0].rsplit(" ", 1)
            per = int(part.split(" / ")[1])
        symbols, width = [], 0
        for segment in body.split(", "):
            count, planes = segment.split(" x ") if " x " in segment else ("1", f"[{segment} 1 8]")
            rows = [[] for _ in range(int(count))]
            for i, plane in enumerate(planes.split(" + ")):
                up = int(plane[2:].split(" ", 1)[0]) if i else 0
                places, w = plane_places(plane[plane.index("["):], int(count))
                width = max(width, up + w)
                for row, (byte, bit) in zip(rows, places):
                    row.append((byte, bit, w, up))
            symbols += rows
        out.append((symbols, width, key, per or len(symbols)))
    return out


def block_key(key, block, g):
    def u(i):
        return int(block[i]) + 256 * int(block[i + 1])

    def mag(i):
        e, m = u(i) >> 10 & 31, u(i) & 1023
        return m if e == 0 else (1024 + m) << (e - 1)

    def ratio(a, c):
        return 0 if c == 0 else min(16 * a // c, 65535)

    def six(o):
        b = [int(x) for x in block[:16]]
        return b[4 + o + g] % 64 if g < 4 else (b[8 + g] >> o) % 16 + 16 * (b[o + g] >> 6)

    def scale(low, high):
        both = [int(block[p[0]]) >> p[1] & (1 << w) - 1 for places, w in (low, high) for p in places[g:g + 1]]
        return abs(both[0] + 16 * both[1] - 32)

    name, _, argument = key.partition("(")
    i = int(argument[:-1]) if argument else 0
    if name == "half":
        return u(i) & 32767
    if name == "byte":
        return int(block[i + g])
    if name == "signed":
        value = int(block[i + g])
        return min(value, 256 - value)
    if name == "zero":
        return 0 if u(2) < 32768 else ratio(mag(2), mag(0))
    if name == "zero2":
        return ratio(mag(82) * (int(block[g]) >> 4), mag(80) * (int(block[g]) % 16))
    if name == "zeroK":
        return ratio(mag(2) * six(4), mag(0) * six(0))
    if name == "scale2":
        return int(block[g]) % 16
    if name == "scaleK":
        return six(0)
    if name == "scale3":
        return scale(plane_places("[96 8 4]", 16), plane_places("[104 4 2]", 16))
    return scale(plane_places("[4 1 4]", 8), plane_places("[2 1 2]", 8))


def decode_blocks(cursor, length):
    kind = cursor.uint(1)
    if kind == 0:
        need(cursor.end - cursor.at == length, "length of a stored chunk")
        return cursor.rest()
    need(kind in BLOCK_TYPES, f"block type {kind}", Unsupported)
    block_bytes, text = BLOCK_TYPES[kind]
    need(length % block_bytes == 0, "length is not a multiple of the block")
    blocks = np.zeros((length // block_bytes, block_bytes), np.uint64)
    for symbols, width, key, per in block_components(text):
        count = cursor.uint(1)
        need(1 <= count <= 16 and (key or count == 1), "class count of a component")
        thresholds, least = [], 0
        for _ in range(count - 1):
            thresholds.append(least + cursor.varint())
            least = thresholds[-1] + 1
            need(least <= 1 << 16, "threshold above 16 bits")
        groups = len(symbols) // per
        classes = np.zeros((len(blocks), groups), np.int64)
        if thresholds:
            for b, block in enumerate(blocks):
                classes[b] = [sum(t <= block_key(key, block, g) for t in thresholds) for g in range(groups)]
        classes = np.repeat(classes, per, axis=1).ravel()
        values = np.zeros(len(classes), np.uint64)
        for c in range(count):
            n = int((classes == c).sum())
            values[classes == c] = decode_part(cursor, width, n)
        values = values.reshape(len(blocks), len(symbols))
        for j, bits in enumerate(symbols):
            for byte, bit, w, up in bits:
                blocks[:, byte] |= (values[:, j] >> np.uint64(up) & np.uint64((1 << w) - 1)) << np.uint64(bit)
    cursor.done("the last component")
    return blocks.astype(np.uint8).tobytes()


def decode_part(cursor, width, n):
    mode = cursor.uint(1)
    need(mode < 4, f"part mode {mode}", Unsupported)
    if mode == 1:
        value = cursor.uint(1)
        need(value < 1 << width, "constant too wide")
        return np.full(n, value, np.uint64)
    return decode_field(cursor, width, mode, [cursor.varint() for _ in range(PART_NUMBERS[mode])], n, None)


def field_modes(cursor):
    """[unit, [width, mode]...] of a payload of coding 1."""
    unit = cursor.uint(1)
    out = [unit]
    for _ in range(cursor.uint(1) if unit else 0):
        width, mode = cursor.uint(1), cursor.uint(1)
        out.append([width, FIELD_MODES.get(mode, mode)])
        for _ in range(NUMBERS_OF_MODE[mode] if mode in FIELD_MODES else 0):
            cursor.varint()
    return out
