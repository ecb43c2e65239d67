"""Codings of the mcodec format, written from format-spec/SPEC.md section 7 alone; for independent_reader.py."""
import numpy as np

from independent_labelled import decode_labelled
from independent_values import Cursor, Table, Unsupported, need, packed_length, unpack, zstd

FIELD_MODES = {0: "packed", 1: "constant", 2: "zstd", 3: "rans", 4: "rans-shared"}
NUMBERS_OF_MODE = (0, 1, 1, 1, 2)
TABLE = 3  # entry kind


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
    if coding == 2 and payload[:1] == b"\1":
        return decode_labelled(payload, length, dependency_bytes)
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
    if mode == 0:
        return unpack(cursor.take(packed_length(n, width)), width, n)
    if mode == 1:
        need(parameters[0] < 1 << width, "constant too wide")
        return np.full(n, parameters[0], np.uint64)
    body = cursor.take(parameters[-1])
    if mode == 2:
        return unpack(zstd(body, packed_length(n, width), "field"), width, n)
    if mode == 3:
        table = Table(body)
        body = body[table.length:]
    else:
        shared = dependency_bytes(parameters[0], TABLE)
        table = Table(shared)
        need(table.length == len(shared), "bytes after a shared table")
    need(table.values[-1] < 1 << width, "symbol too wide for its field")
    return rans(body, table, n)


# ------------------------------------------------------------------------------------------------------------------- [7.5] blocks

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
