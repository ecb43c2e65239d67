"""Blocks of ggml's types (coding 3), written from format-spec/SPEC.md section 7.5 alone; for independent_coding.py."""
import numpy as np

from independent_values import Unsupported, need

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


def decode_blocks(cursor, length, decode_field):
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
            values[classes == c] = decode_part(cursor, width, n, decode_field)
        values = values.reshape(len(blocks), len(symbols))
        for j, bits in enumerate(symbols):
            for byte, bit, w, up in bits:
                blocks[:, byte] |= (values[:, j] >> np.uint64(up) & np.uint64((1 << w) - 1)) << np.uint64(bit)
    cursor.done("the last component")
    return blocks.astype(np.uint8).tobytes()


def decode_part(cursor, width, n, decode_field):
    mode = cursor.uint(1)
    need(mode < 4, f"part mode {mode}", Unsupported)
    if mode == 1:
        value = cursor.uint(1)
        need(value < 1 << width, "constant too wide")
        return np.full(n, value, np.uint64)
    return decode_field(cursor, width, mode, [cursor.varint() for _ in range(PART_NUMBERS[mode])], n, None)
