#!/usr/bin/env python3
"""A second reader of .mcodec files, written from format-spec/SPEC.md and REGISTRY.md alone.

  independent_reader.py FILE                  parse FILE, check all of it, print its JSON twin
  independent_reader.py --compare FILE TWIN   parse FILE and hold it against the JSON in TWIN
  independent_reader.py --vectors DIR         the same for every NAME.mcodec and NAME.json of DIR

Needs numpy, xxhash, blake3 and zstandard. It is written to be read beside SPEC.md (section numbers in brackets), not to be fast.
"""
import json
import sys
from pathlib import Path

import numpy as np
import zstandard
from blake3 import blake3
from xxhash import xxh3_64_intdigest

MAGIC = b"\x8dMCD\r\n\x1a\n"
MAJOR, MINOR = 1, 0
KNOWN_REQUIRED, KNOWN_OPTIONAL = 1, 0
PREAMBLE_LENGTH, SLOT_LENGTH, MAX_LEAF = 96, 32, 229376
MAX_DEPTH, MAX_WINDOW, SHORT_CHECK_BELOW = 8, 8 << 20, 4096
ASSET_KINDS = {1: "model", 2: "blob"}
ENTRY_KINDS = {1: "tensor", 2: "file", 3: "table", 4: "record"}
CODINGS = {0: "raw", 1: "fields"}
FIELD_MODES = {0: "packed", 1: "constant", 2: "zstd", 3: "rans", 4: "rans-shared"}
FILE_LAYOUTS = {0: "bytes", 1: "safetensors-verbatim", 2: "safetensors-rendered"}
ROW_LAYOUTS = {0: "indexed", 1: "gathered", 2: "described"}
DEPENDENCY_KINDS = {0: "same-asset", 1: "other-asset", 2: "other-file"}
SCHEMAS = {"json"}
FIELD_NAMES = {1: "dtype", 2: "dtype name", 3: "shape", 4: "byte length", 5: "representation", 6: "coding", 7: "chunk length",
               8: "owner", 9: "layout", 10: "schema", 11: "bound hash"}
DTYPES = {i + 1: (n, int(b)) for i, (n, b) in enumerate(p.split(":") for p in (
    "F64:64 F32:32 F16:16 BF16:16 F8_E4M3:8 F8_E5M2:8 F8_E4M3FNUZ:8 F8_E5M2FNUZ:8 F8_E8M0:8 F6_E2M3:6 F6_E3M2:6 F4:4 I64:64 I32:32 "
    "I16:16 I8:8 I4:4 U64:64 U32:32 U16:16 U8:8 U4:4 BOOL:8 C64:64 C128:128").split())}


class Refused(Exception):
    """What SPEC.md calls to refuse."""


def need(condition, text):
    if not condition:
        raise Refused(text)


def xxh3(seed, data):
    return xxh3_64_intdigest(data, seed=seed)


# ---------------------------------------------------------------------------------------------------------------- [1] conventions


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


# ------------------------------------------------------------------------------------------------------- [2] preamble and slots


def parse_preamble(data):
    need(len(data) >= PREAMBLE_LENGTH, "shorter than a preamble")
    cursor = Cursor(data, 0, 32)
    need(cursor.take(8) == MAGIC, "not an mcodec file")
    major, minor, least, reserved = (cursor.uint(2) for _ in range(4))
    required, optional, check = cursor.uint(4), cursor.uint(4), cursor.uint(8)
    need(check == xxh3(0, data[:24]), "preamble checksum")
    need(major == MAJOR, f"major version {major}")
    need(least <= MINOR, f"needs a reader of version {major}.{least}")
    need(reserved == 0, "reserved bits of the preamble")
    need(required & ~KNOWN_REQUIRED == 0, f"required features {required:#x}")
    return {"major": major, "minor": minor, "least_minor": least, "required": required, "optional": optional,
            "slots": [slot_twin(data[32 + 32 * i:64 + 32 * i], i) for i in (0, 1)]}


def slot_twin(raw, index):
    if raw == bytes(SLOT_LENGTH):
        return "empty"
    cursor = Cursor(raw)
    slot = {"generation": cursor.uint(4), "root_length": cursor.uint(4), "root_offset": cursor.uint(8), "committed": cursor.uint(8)}
    whole = cursor.uint(8) == xxh3(index, raw[:24]) and slot["generation"] > 0
    return slot if whole and slot["root_offset"] + slot["root_length"] <= slot["committed"] else "damaged"


def choose_generation(data, preamble):
    """(where it was found, slot, root): the current generation [2.2]."""
    slots = preamble["slots"]
    names = ("slot A", "slot B")
    valid = [(names[i], s) for i, s in enumerate(slots) if isinstance(s, dict) and s["committed"] <= len(data)]
    candidates = sorted(valid, key=lambda c: -c[1]["generation"])
    if len(data) >= PREAMBLE_LENGTH + 33 and data[-33] == ord("T"):
        trailer = slot_twin(data[-32:], 2)
        if isinstance(trailer, dict) and trailer["committed"] == len(data):
            candidates.append(("trailer", trailer))
    if slots[0] == "damaged" and len(data) > PREAMBLE_LENGTH and data[PREAMBLE_LENGTH] == ord("R"):
        candidates.append(("root at 96", None))
    for found, slot in candidates:
        try:
            root = read_root(data, slot["root_offset"], slot["root_length"], slot["generation"]) if slot else read_root(data, 96)
            if root["generation"] > 1:
                for leaf in root["leaves"]:
                    if leaf["generation"] == root["generation"]:
                        frame_payload(data, leaf["offset"], "L", leaf["length"])
        except Refused:
            continue
        return found, slot, root
    cut = any(isinstance(s, dict) and s["committed"] > len(data) for s in slots)
    raise Refused("truncated" if cut or slots == ["empty", "empty"] else "no whole generation")


# ---------------------------------------------------------------------------------------------------------------- [3] frames, root


def frame_payload(data, offset, tag, length=None):
    """The checked payload of a described frame that is not a chunk; `length` is that of the whole frame."""
    need(PREAMBLE_LENGTH <= offset < len(data), "frame outside of the file")
    cursor = Cursor(data, offset)
    found = cursor.take(1)
    need(tag is None or found == tag.encode(), f"no {tag} frame at {offset}")
    payload = cursor.take(cursor.varint())
    check = cursor.uint(8)
    need(check == xxh3(found[0], payload), f"checksum of the frame at {offset}")
    need(length is None or cursor.at - offset == length, f"length of the frame at {offset}")
    return payload, cursor.at


def read_root(data, offset, length=None, generation=None):
    payload, end = frame_payload(data, offset, "R", length)
    cursor = Cursor(payload)
    root = {"offset": offset, "length": end - offset, "generation": cursor.varint(), "asset_count": cursor.varint(),
            "data_base": cursor.varint(), "previous": [cursor.varint(), cursor.varint()]}
    need(root["generation"] > 0 and generation in (None, root["generation"]), "generation of the root")
    root["fields"] = unknown_fields(parse_fields(cursor.take(cursor.varint())), ())
    need(not any(f["critical"] for f in root["fields"]), "unknown critical file field")
    root["leaves"], before, separator = [], end, b""
    for index in range(cursor.varint()):
        leaf = {"offset": before + cursor.svarint(), "length": cursor.varint(), "base": cursor.uint(1), "generation": cursor.varint()}
        shared = cursor.varint()
        need(shared <= len(separator), "separator shares too much")
        separator = separator[:shared] + cursor.take(cursor.varint())
        leaf.update(separator=separator.hex(), first_chunk=cursor.varint())
        need(leaf["base"] <= 1 and 0 < leaf["generation"] <= root["generation"], "leaf pointer")
        need(leaf["length"] <= MAX_LEAF and leaf["offset"] >= PREAMBLE_LENGTH, "leaf pointer")
        need(index > 0 or separator == b"", "separator of the first leaf")
        root["leaves"].append(leaf)
        before = leaf["offset"] + leaf["length"]
    order = [separator_key(bytes.fromhex(leaf["separator"]), leaf["first_chunk"]) for leaf in root["leaves"]]
    need(all(a < b for a, b in zip(order, order[1:])), "separators do not ascend")
    root["inline"] = None if root["leaves"] else cursor.rest()
    cursor.done("the root")
    return root


def separator_key(separator, first_chunk):
    asset, zero, entry = separator.partition(b"\0")
    return natural(asset), ((1, natural(entry)) if zero else (0,)), first_chunk


# ------------------------------------------------------------------------------------------------------------------------- [4] pages


def parse_page(payload):
    """(assets, rows) of a page; places count from the leaf's base."""
    cursor = Cursor(payload)
    form = cursor.uint(1)
    need(form <= 1, "form of a page")
    if form == 1:
        length = cursor.varint()
        cursor = Cursor(zstd(cursor.rest(), length, "page"))
    assets = []
    for _ in range(cursor.varint()):
        ordinal, kind, name = cursor.varint(), cursor.varint(), cursor.text()
        content_hash, fields = cursor.take(32), parse_fields(cursor.take(cursor.varint()))
        need(ordinal < 1 << 32, "asset ordinal")
        assets.append({"ordinal": ordinal, "kind": kind >> 1, "critical": bool(kind & 1), "name": name,
                       "content_hash": content_hash.hex(), "fields": fields})
    rows = parse_columns(cursor, assets)
    cursor.done("the page")
    return assets, rows


def parse_columns(cursor, assets):
    n = cursor.varint()
    need(n <= cursor.end - cursor.at, "more entries than bytes")

    def column(read):
        return [read() for _ in range(n)]

    owners, kinds = column(cursor.varint), column(cursor.varint)
    ids, last = [], -1
    for index in range(n):
        last = cursor.svarint() + (last + 1 if index else 0)
        need(0 <= last < 1 << 32, "entry id")
        ids.append(last)
    shared, suffixes = column(cursor.varint), column(cursor.varint)
    names, name = [], b""
    for s, length in zip(shared, suffixes):
        need(s <= len(name), "name shares too much")
        name = name[:s] + cursor.take(length)
        Cursor(name).text(len(name))
        names.append(name)
    descriptors = [cursor.take(length) for length in column(cursor.varint)]
    dependencies = [[parse_dependency(cursor) for _ in range(count)] for count in column(cursor.varint)]
    first, counts = column(cursor.varint), column(cursor.varint)
    layouts = column(lambda: cursor.uint(1))
    need(all(layout in ROW_LAYOUTS for layout in layouts), "unknown row layout")
    offsets = column(cursor.svarint)
    rows, end = [], 0
    for i in range(n):
        need(owners[i] < len(assets), "asset index of a row")
        lengths, last = [], 0
        need(counts[i] <= cursor.end - cursor.at, "more chunks than bytes")
        for c in range(counts[i]):
            last = last + cursor.svarint() if c else cursor.varint()
            need(0 <= last < 1 << 63, "payload length")
            lengths.append(last)
        row = {"asset": assets[owners[i]]["ordinal"], "asset_name": assets[owners[i]]["name"], "id": ids[i], "kind": kinds[i] >> 2,
               "copy": bool(kinds[i] & 2), "critical": bool(kinds[i] & 1), "name": names[i].decode(), "descriptor": descriptors[i],
               "dependencies": dependencies[i], "first": first[i], "layout": layouts[i], "lengths": lengths, "offset": end + offsets[i]}
        if lengths:
            need(row["offset"] >= 0, "offset of a row")
            end = row["offset"] + sum(frame_lengths(row))
        rows.append(row)
    return rows


def parse_dependency(cursor):
    kind = cursor.varint()
    need(kind in DEPENDENCY_KINDS, f"dependency kind {kind}")
    if kind == 0:
        return {"kind": "same-asset", "entry": cursor.varint()}
    if kind == 1:
        return {"kind": "other-asset", "asset": cursor.varint(), "entry": cursor.varint()}
    return {"kind": "other-file", "content_hash": cursor.take(32).hex(), "name": cursor.text()}


def check_length(row, length):
    return 4 if row["layout"] < 2 and length < SHORT_CHECK_BELOW else 8


def varint_length(value):
    return max(1, (value.bit_length() + 6) // 7)


def frame_lengths(row):
    """Lengths of the frames of a row; of a gathered one, of its payloads and then of its G frame."""
    checks = [check_length(row, n) for n in row["lengths"]]
    if row["layout"] == 0:
        return [1 + n + c for n, c in zip(row["lengths"], checks)]
    if row["layout"] == 1:
        return row["lengths"] + [1 + sum(checks)]
    heads = [1 + sum(map(varint_length, (n, row["asset"], row["id"], row["first"] + i))) for i, n in enumerate(row["lengths"])]
    return [h + n + 8 for h, n in zip(heads, row["lengths"])]


def chunk_places(row, base):
    """[{ordinal, offset, length, check_at, check_bytes}] of a row."""
    at, places = base + row["offset"], []
    frames, checks_at = frame_lengths(row), base + row["offset"] + sum(row["lengths"]) + 1
    for i, length in enumerate(row["lengths"]):
        check_bytes = check_length(row, length)
        offset = at if row["layout"] == 1 else at + frames[i] - length - check_bytes
        check_at = checks_at if row["layout"] == 1 else offset + length
        places.append({"ordinal": row["first"] + i, "offset": offset, "length": length, "check_at": check_at, "check_bytes": check_bytes})
        at, checks_at = at + frames[i], checks_at + check_bytes
    return places


# ------------------------------------------------------------------------------------------------------------------------- [7] codings


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
        need(10 <= self.precision <= 15 and code <= 2 and zero == 0, "head of a table")
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
    need(lane_bits <= 6, "lane count")
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
        need(unit in (8, 16, 32, 64), f"unit of {unit} bits")
        count = cursor.uint(1)
        need(1 <= count <= 8, "field count")
        for _ in range(count):
            width, mode = cursor.uint(1), cursor.uint(1)
            need(1 <= width <= 64 and mode in FIELD_MODES, f"field of width {width}, mode {mode}")
            need(mode < 3 or width <= 16, "field too wide for rANS")
            heads.append((width, mode, [cursor.varint() for _ in range((0, 1, 1, 1, 2)[mode])]))
        need(sum(h[0] for h in heads) == unit, "widths do not sum to the unit")
    return unit, heads


def decode_chunk(payload, length, coding, dependency_bytes):
    if coding == 0:
        need(len(payload) == length, "length of a raw chunk")
        return payload
    cursor = Cursor(payload)
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


# ------------------------------------------------------------------------------------------------------- generations, entries, contents


class Index:
    """Everything that one generation's root leads to."""

    def __init__(self, data, root):
        self.data, self.root = data, root
        self.assets, self.entries, self.places = {}, {}, {}
        leaves = root["leaves"] or [None]
        keys, first_keys = [], []
        for leaf in leaves:
            payload = root["inline"] if leaf is None else frame_payload(data, leaf["offset"], "L", leaf["length"])[0]
            base = root["data_base"] if leaf is None or leaf["base"] == 1 else 0
            self.add_page(parse_page(payload), base, keys, first_keys)
        need(all(a < b for a, b in zip(keys, keys[1:])), "rows do not ascend")
        for leaf, (first, before) in zip(leaves[1:], first_keys[1:]):
            separator = separator_key(bytes.fromhex(leaf["separator"]), leaf["first_chunk"])
            need(before is None or before < separator, "separator at or below the leaf before it")
            need(first is None or separator <= first, "separator above its own leaf")
        need(len(self.assets) == root["asset_count"], "asset count")
        for entry in self.entries.values():
            entry["parts"].sort(key=lambda p: p["first"])

    def add_page(self, page, base, keys, first_keys):
        assets, rows = page
        for asset in assets:
            known = self.assets.setdefault(asset["ordinal"], asset)
            need(known == asset, "an asset is described in two ways")
        need([r["copy"] for r in rows] == sorted(r["copy"] for r in rows), "a copy before an owned row")
        own = [r for r in rows if not r["copy"]]
        present = {(r["asset"], r["id"]) for r in rows}

        def key(row):
            return (natural(row["asset_name"].encode()), (1, natural(row["name"].encode())), row["first"])

        first_keys.append((key(own[0]) if own else None, key_before(keys)))
        for row in rows:
            row["base"] = base
            row["closed"] = all((d.get("asset", row["asset"]), d["entry"]) in present for d in row["dependencies"] if "entry" in d)
            if row["lengths"]:
                self.places[(row["asset"], row["id"], row["first"])] = row
        for row in own:
            whole = key(row)
            keys.append((whole[0], whole[1], row["kind"], row["id"], row["first"]))
            entry = self.entries.setdefault((row["asset"], row["id"]), dict(row, parts=[]))
            for column in ("kind", "critical", "name", "descriptor", "dependencies"):
                need(entry[column] == row[column], "parts of an entry differ")
            entry["parts"].append(row)


def key_before(keys):
    return (keys[-1][0], keys[-1][1], keys[-1][4]) if keys else None


class Contents:
    """Decodes entries of an index."""

    def __init__(self, index):
        self.index, self.data, self.cache = index, index.data, {}

    def target(self, entry, dependency):
        need(dependency["kind"] != "other-file", "needs another file")
        key = (dependency.get("asset", entry["asset"]), dependency["entry"])
        need(key in self.index.entries, "dependency on an entry that is not there")
        return self.index.entries[key]

    def check_depth(self, entry, path=()):
        key = (entry["asset"], entry["id"])
        need(key not in path, "cyclic dependency")
        need(len(path) <= MAX_DEPTH, "dependencies too deep")
        for part in entry["parts"]:
            need(part["closed"], "a dependency is not in the leaf")
        for dependency in entry["dependencies"]:
            if dependency["kind"] != "other-file":
                self.check_depth(self.target(entry, dependency), path + (key,))

    def describe(self, entry):
        """The parsed descriptor; refuses what is not understood."""
        need(entry["kind"] in ENTRY_KINDS, f"unknown entry kind {entry['kind']}")
        fields = parse_fields(entry["descriptor"])
        unknown = [i for i, critical, _ in fields if i not in FIELD_NAMES and critical]
        need(not unknown, f"unknown critical fields {unknown}")
        return parse_descriptor(fields)

    def content(self, entry):
        key = (entry["asset"], entry["id"])
        if key not in self.cache:
            self.check_depth(entry)
            self.cache[key] = self.decode(entry, self.describe(entry))
        return self.cache[key]

    def decode(self, entry, descriptor):
        need(descriptor["coding"] in CODINGS, f"unknown coding {descriptor['coding']}")
        representation = descriptor["representation"]
        need(representation[0] in (1, 2), f"unknown representation {representation[0]}")
        if representation[0] == 2:
            return self.alias(entry, descriptor)
        need(len(representation) == 1, "parameters of plain")
        total = content_length(entry, descriptor)
        chunks = [c for part in entry["parts"] for c in chunk_places(part, part["base"])]
        need([c["ordinal"] for c in chunks] == list(range(len(chunks))), "chunks are not consecutive")
        step = descriptor["chunk_length"]
        need(step != 0, "chunk length of zero")
        step = step or max(total, 1)
        need(len(chunks) == -(-total // step), "number of chunks")

        def dependency_bytes(i):
            need(i < len(entry["dependencies"]), "dependency index")
            return self.content(self.target(entry, entry["dependencies"][i]))

        out = []
        for c in chunks:
            payload = self.payload(entry, c)
            out.append(decode_chunk(payload, min(step, total - c["ordinal"] * step), descriptor["coding"], dependency_bytes))
        return b"".join(out)

    def alias(self, entry, descriptor):
        need(entry["kind"] == 1 and len(descriptor["representation"]) == 2, "alias that is not a tensor's")
        need(entry["dependencies"][:1] == [{"kind": "same-asset", "entry": descriptor["representation"][1]}], "alias and dependency 0")
        target = self.target(entry, entry["dependencies"][0])
        other = self.describe(target)
        need(target["kind"] == 1 and other["representation"][0] != 2, "alias of an alias")
        need(all(other[k] == descriptor[k] for k in ("dtype", "dtype_name", "shape")), "alias of another shape or dtype")
        need(not any(p["lengths"] for p in entry["parts"]), "alias with chunks")
        return self.content(target)

    def payload(self, entry, c):
        payload = Cursor(self.data, c["offset"]).take(c["length"])
        ident = b"".join(v.to_bytes(n, "little") for v, n in ((entry["asset"], 4), (entry["id"], 4), (c["ordinal"], 8)))
        check = xxh3(xxh3(0, ident), payload) & ((1 << 8 * c["check_bytes"]) - 1)
        need(Cursor(self.data, c["check_at"]).uint(c["check_bytes"]) == check, f"checksum of chunk {c['ordinal']}")
        return payload


def parse_descriptor(fields):
    values = {FIELD_NAMES[i]: v for i, _, v in fields if i in FIELD_NAMES}

    def one(name, read, default=None):
        if name not in values:
            return default
        cursor = Cursor(values[name])
        value = read(cursor)
        cursor.done(f"field {name}")
        return value

    return {"dtype": one("dtype", Cursor.varint), "dtype_name": one("dtype name", lambda c: c.text(c.end)),
            "shape": one("shape", Cursor.varints), "byte_length": one("byte length", Cursor.varint),
            "representation": parse_representation(values.get("representation", b"\1")), "coding": one("coding", lambda c: c.uint(1), 1),
            "chunk_length": one("chunk length", Cursor.varint), "owner": one("owner", Cursor.varint),
            "layout": one("layout", lambda c: c.uint(1), 0), "schema": one("schema", lambda c: c.text(c.end)),
            "bound_hash": one("bound hash", lambda c: c.take(32).hex())}


def parse_representation(value):
    """[id, parameters...]: an unknown id keeps its parameters unparsed."""
    cursor = Cursor(value)
    ident = cursor.varint()
    return [ident] + (cursor.varints() if ident in (1, 2) else [])


def content_length(entry, descriptor):
    if entry["kind"] == 3 and descriptor["byte_length"] is None:
        return sum(n for part in entry["parts"] for n in part["lengths"])
    if entry["kind"] == 1 and descriptor["dtype"] != 0:
        need(descriptor["dtype"] in DTYPES and descriptor["shape"] is not None, f"dtype {descriptor['dtype']} or no shape")
        bits = DTYPES[descriptor["dtype"]][1]
        for dimension in descriptor["shape"]:
            bits *= dimension
        need(bits % 8 == 0 and bits >> 3 < 1 << 63, "byte length of a tensor")
        return bits >> 3
    need(descriptor["byte_length"] is not None, "no byte length")
    return descriptor["byte_length"]


# --------------------------------------------------------------------------------------------------- [5] what assets and records mean


def dtype_name(descriptor):
    return descriptor["dtype_name"] if descriptor["dtype"] == 0 else DTYPES[descriptor["dtype"]][0]


def model_hash(tensors):
    """[5.1] of [(name, descriptor, bytes)]."""
    state = blake3()
    for name, descriptor, data in sorted(tensors, key=lambda t: t[0].encode()):
        for text in (name.encode(), dtype_name(descriptor).encode()):
            state.update(len(text).to_bytes(4, "little") + text)
        state.update(len(descriptor["shape"]).to_bytes(4, "little"))
        state.update(b"".join(d.to_bytes(8, "little") for d in descriptor["shape"]) + blake3(data).digest())
    return state.hexdigest()


def escape(text):
    short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(short.get(c, c if c >= " " else f"\\u{ord(c):04x}") for c in text) + '"'


def rendered_header(tensors, metadata, pad):
    members, at = ([f'"__metadata__":{metadata}'] if metadata else []), 0
    for name, descriptor, data in tensors:
        shape = ",".join(map(str, descriptor["shape"]))
        members.append(f'{escape(name)}:{{"dtype":{escape(dtype_name(descriptor))},"shape":[{shape}],"data_offsets":[{at},{at + len(data)}]}}')
        at += len(data)
    text = ("{" + ",".join(members) + "}").encode()
    text += b" " * (-len(text) % pad)
    return len(text).to_bytes(8, "little") + text


def rebuild(layout, content, tensor_of):
    """[5.4] The file that an entry of kind `file` stands for."""
    if layout == 0:
        return content
    cursor = Cursor(content)
    pad, metadata = (cursor.uint(1), cursor.text()) if layout == 2 else (None, None)
    ids = []
    for i in range(cursor.varint()):
        ids.append(cursor.svarint() + (ids[-1] + 1 if i else 0))
    tensors = [tensor_of(i) for i in ids]
    if layout == 1:
        header = cursor.rest()
    else:
        need(pad > 0, "padding of zero")
        header = rendered_header(tensors, metadata, pad)
        cursor.done("the file's layout")
    return header + b"".join(t[2] for t in tensors)


def element_width(descriptor):
    return DTYPES[descriptor["dtype"]][1]


# ------------------------------------------------------------------------------------------------------------------------------- walking


def walk(data, indexes, committed, report):
    """Every byte from the preamble to the committed length belongs to a checked frame [3]; [[tag, offset, length]]."""
    spans = {}
    for index in indexes:
        for row in index.places.values():
            start = row["base"] + row["offset"]
            if row["layout"] < 2:
                spans[start] = row
    frames, at = [], PREAMBLE_LENGTH
    while at < committed:
        start = at
        if at in spans:
            row = spans.pop(at)
            at += sum(frame_lengths(row))
            tag = "I" if row["layout"] == 0 else "G"
            check_tags(data, row)
            frames.extend([tag, start + sum(frame_lengths(row)[:i]), n] for i, n in enumerate(frame_lengths(row)) if tag == "I")
            frames.extend([[tag, start, at - start]] if tag == "G" else [])
            continue
        tag, at = walk_described(data, at, report)
        frames.append([tag, start, at - start])
    need(at == committed and not spans, "frames overlap or leave gaps")
    return frames


def check_tags(data, row):
    at = row["base"] + row["offset"]
    if row["layout"] == 1:
        at += sum(row["lengths"])
        need(data[at] == ord("G"), f"no G frame at {at}")
        return
    for length in frame_lengths(row):
        need(at < len(data) and data[at] == ord("I"), f"no I frame at {at}")
        at += length


def walk_described(data, at, report):
    tag = chr(data[at])
    if tag == "T":
        need(isinstance(slot_twin(data[at + 1:at + 33], 2), dict), "damaged trailer")
        return tag, at + 33
    if tag in "PC":
        cursor = Cursor(data, at + 1)
        length = cursor.varint()
        if tag == "P":
            need(not any(cursor.take(length)), "padding is not zero")
        else:
            asset, entry, ordinal = cursor.varint(), cursor.varint(), cursor.varint()
            place = {"offset": cursor.at, "length": length, "check_at": cursor.at + length, "check_bytes": 8, "ordinal": ordinal}
            cursor.take(length + 8)
            Contents(type("", (), {"data": data})).payload({"asset": asset, "id": entry}, place)
        return tag, cursor.at
    need(tag in "RLD" or data[at] & 32, f"unknown frame {data[at]:#x} at {at}")
    payload, end = frame_payload(data, at, None)
    if tag == "D":
        parse_page(payload)
    elif tag not in "RL":
        report.append(f"frame {data[at]:02x} at {at}")
    return tag, end


# ---------------------------------------------------------------------------------------------------------------------------- the twin


class Twin:
    """The JSON twin of a file."""

    def __init__(self, data):
        self.data, self.unknown, self.damage = data, [], []
        self.preamble = parse_preamble(data)
        self.found, slot, root = choose_generation(data, self.preamble)
        self.root, self.index = root, Index(data, root)
        self.contents = Contents(self.index)
        self.committed = slot["committed"] if slot else len(data)

    def report_unknown(self):
        if self.preamble["minor"] > MINOR:
            self.unknown.append(f"minor version {self.preamble['minor']}")
        extra = self.preamble["optional"] & ~KNOWN_OPTIONAL
        self.unknown.extend(f"optional feature {bit}" for bit in range(32) if extra >> bit & 1)
        self.unknown.extend(f"file field {f['id']}" for f in self.root["fields"])

    def entry_twin(self, entry):
        twin = {"asset": entry["asset"], "id": entry["id"], "kind": ENTRY_KINDS.get(entry["kind"], entry["kind"]),
                "critical": entry["critical"], "name": entry["name"], "dependencies": entry["dependencies"],
                "parts": [{"first_chunk": p["first"], "layout": ROW_LAYOUTS[p["layout"]],
                           "chunks": chunk_places(p, p["base"])} for p in entry["parts"]]}
        where = f"of {entry['asset']}/{entry['name']}"
        try:
            if entry["kind"] not in ENTRY_KINDS:
                self.unknown.append(f"entry kind {entry['kind']} {where}")
            fields = parse_fields(entry["descriptor"])
            twin["unknown_fields"] = unknown_fields(fields, FIELD_NAMES)
            self.unknown.extend(f"field {f['id']} {where}" for f in twin["unknown_fields"] if not f["critical"])
            if entry["kind"] in ENTRY_KINDS:
                twin["descriptor"] = self.descriptor_twin(entry)
                self.check_record(entry)
            content = self.contents.content(entry)
            twin["content"] = {"length": len(content), "blake3": blake3(content).hexdigest()}
            if len(content) <= 64:
                twin["content"]["hex"] = content.hex()
        except Refused as refused:
            twin["refused"] = str(refused)
        return twin

    def descriptor_twin(self, entry):
        descriptor = self.contents.describe(entry)
        if descriptor["coding"] == 1 and descriptor["representation"] == [1]:
            self.list_modes(entry)
        named = dict(descriptor)
        if named["dtype"] is not None:
            named["dtype"] = "opaque" if named["dtype"] == 0 else DTYPES.get(named["dtype"], (named["dtype"],))[0]
        named["coding"] = CODINGS.get(named["coding"], named["coding"])
        named["layout"] = FILE_LAYOUTS.get(named["layout"], named["layout"]) if entry["kind"] == 2 else None
        named["representation"][0] = {1: "plain", 2: "alias"}.get(named["representation"][0], named["representation"][0])
        return {k: v for k, v in named.items() if v is not None}

    def list_modes(self, entry):
        for part in entry["parts"]:
            for place in chunk_places(part, part["base"]):
                unit, heads = field_heads(Cursor(self.contents.payload(entry, place)))
                part.setdefault("modes", []).append([unit] + [[w, FIELD_MODES[m]] for w, m, _ in heads])

    def check_record(self, entry):
        if entry["kind"] != 4:
            return
        descriptor = self.contents.describe(entry)
        if descriptor["schema"] not in SCHEMAS and not entry["critical"]:
            self.unknown.append(f"schema {descriptor['schema']} of {entry['asset']}/{entry['name']}")
        bound = descriptor["bound_hash"]
        need(bound == self.index.assets[entry["asset"]]["content_hash"], "record bound to another content hash")
        need(self.contents.content(entry).decode("utf-8", "replace") is not None, "record")

    def asset_twin(self, asset):
        twin = {k: asset[k] for k in ("ordinal", "critical", "name", "content_hash")}
        twin["kind"] = ASSET_KINDS.get(asset["kind"], asset["kind"])
        source = [v for i, _, v in asset["fields"] if i == 1]
        twin["source"] = source[0][0] if source else None
        twin["unknown_fields"] = unknown_fields(asset["fields"], (1,))
        self.unknown.extend(f"asset field {f['id']} of {asset['ordinal']}" for f in twin["unknown_fields"] if not f["critical"])
        try:
            need(not any(f["critical"] for f in twin["unknown_fields"]), "unknown critical asset field")
            if asset["kind"] not in ASSET_KINDS:
                need(not asset["critical"], f"unknown critical asset kind {asset['kind']}")
                self.unknown.append(f"asset kind {asset['kind']} of {asset['ordinal']}")
            self.check_schemas(asset)
            if asset["kind"] in ASSET_KINDS:
                twin["files"] = self.files(asset)
        except Refused as refused:
            twin["refused"] = str(refused)
        return twin

    def entries_of(self, asset, kind):
        return [e for (a, _), e in self.index.entries.items() if a == asset["ordinal"] and e["kind"] == kind]

    def check_schemas(self, asset):
        for record in self.entries_of(asset, 4):
            if record["critical"]:
                need(self.contents.describe(record)["schema"] in SCHEMAS, f"required record {record['name']}")

    def tensor(self, entry):
        return entry["name"], self.contents.describe(entry), self.contents.content(entry)

    def files(self, asset):
        """The files of an asset, rebuilt; its content hash checked, if everything could be decoded."""
        out = []
        try:
            if asset["kind"] == 2:
                files = [(asset["name"], self.contents.content(e)) for e in self.entries_of(asset, 2)]
                computed = blake3(files[0][1]).hexdigest() if files else None
            else:
                tensors = [self.tensor(e) for e in self.entries_of(asset, 1) if self.contents.describe(e)["owner"] is None]
                computed = model_hash(tensors)
                files = [(e["name"], self.rebuilt(asset, e)) for e in self.entries_of(asset, 2)]
                if [v for i, _, v in asset["fields"] if i == 1] == [b"\1"]:
                    tensors.sort(key=lambda t: (-element_width(t[1]), t[0].encode()))
                    files.append((asset["name"], rendered_header(tensors, "", 8) + b"".join(t[2] for t in tensors)))
        except Refused:
            return None
        if computed != asset["content_hash"]:
            self.damage.append(f"content hash of asset {asset['ordinal']}")
        for name, data in files:
            out.append({"name": name, "length": len(data), "blake3": blake3(data).hexdigest()})
        return out

    def rebuilt(self, asset, entry):
        layout = self.contents.describe(entry)["layout"]
        need(layout in FILE_LAYOUTS, f"file layout {layout}")

        def tensor_of(ident):
            need((asset["ordinal"], ident) in self.index.entries, "file of a tensor that is not there")
            return self.tensor(self.index.entries[(asset["ordinal"], ident)])

        return rebuild(layout, self.contents.content(entry), tensor_of)

    def generations(self):
        """This generation's index and those before it, for the places of their chunks."""
        indexes, root, seen = [self.index], self.root, set()
        while root["previous"][0] and root["previous"][0] not in seen:
            seen.add(root["previous"][0])
            root = read_root(self.data, *root["previous"])
            indexes.append(Index(self.data, root))
        return indexes

    def value(self):
        self.report_unknown()
        order = sorted(self.index.entries.values(), key=lambda e: (e["asset"], e["id"]))
        entries = [self.entry_twin(e) for e in order]
        for twin, entry in zip(entries, order):
            for part_twin, part in zip(twin["parts"], entry["parts"]):
                for place, modes in zip(part_twin["chunks"], part.get("modes", [])):
                    place["fields"] = modes
        assets = [self.asset_twin(self.index.assets[o]) for o in sorted(self.index.assets)]
        if self.committed < len(self.data):
            self.damage.append("bytes after the committed length")
        if "damaged" in self.preamble["slots"] or any(isinstance(s, dict) and s["committed"] > len(self.data) for s in self.preamble["slots"]):
            self.damage.append("a slot is damaged")
        frames = None
        try:
            frames = walk(self.data, self.generations(), self.committed, self.unknown)
        except Refused as refused:
            self.damage.append(str(refused))
        root = {k: v for k, v in self.root.items() if k != "inline"}
        return {"length": len(self.data), "found_by": self.found, "preamble": self.preamble, "root": root, "frames": frames, "assets": assets,
                "entries": entries, "unknown": sorted(self.unknown), "damage": self.damage}


def twin_of(data):
    try:
        return Twin(data).value()
    except Refused as refused:
        return {"refused": str(refused)}


# ---------------------------------------------------------------------------------------------------------------------------- comparing


def comparable(value, key=None):
    """Texts of errors are each reader's own; whether there is one is not."""
    if key in ("refused", "damage"):
        return bool(value)
    if isinstance(value, dict):
        return {k: comparable(v, k) for k, v in value.items() if k not in ("about", "warnings")}
    return [comparable(v) for v in value] if isinstance(value, list) else value


def differences(mine, theirs, path=""):
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in sorted(mine.keys() | theirs.keys()):
            yield from differences(mine.get(key, "(none)"), theirs.get(key, "(none)"), f"{path}/{key}")
    elif isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        for i, (a, b) in enumerate(zip(mine, theirs)):
            yield from differences(a, b, f"{path}/{i}")
    elif mine != theirs:
        yield f"{path}: this reader {mine!r}, twin {theirs!r}"


def compare(file, twin):
    found = twin_of(file.read_bytes())
    lines = list(differences(comparable(found), comparable(json.loads(twin.read_text("utf-8")))))
    for line in lines[:20]:
        print(f"{file.name}: {line}")
    if lines and "refused" in found:
        print(f"{file.name}: refused: {found['refused']}")
    return not lines


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--vectors":
        files = sorted(Path(arguments[1]).glob("*.mcodec"))
        good = sum([compare(f, f.with_suffix(".json")) for f in files])
        print(f"{good} of {len(files)} vectors agree")
        return 0 if files and good == len(files) else 1
    if len(arguments) == 3 and arguments[0] == "--compare":
        return 0 if compare(Path(arguments[1]), Path(arguments[2])) else 1
    if len(arguments) == 1 and not arguments[0].startswith("-"):
        twin = twin_of(Path(arguments[0]).read_bytes())
        print(json.dumps(twin, indent=1))
        return 1 if "refused" in twin else 0
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
