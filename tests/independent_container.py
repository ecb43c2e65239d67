"""Sections 2, 3 and 4 of SPEC.md for independent_reader.py: preamble and slots, frames and the root, pages of the index."""
from independent_values import Cursor, Refused, Unsupported, natural, need, parse_fields, unknown_fields, varint_length, xxh3, zstd

MAGIC = b"\x8dMCD\r\n\x1a\n"
MAJOR, MINOR = 1, 0
KNOWN_REQUIRED, KNOWN_OPTIONAL = 1, 0
PREAMBLE_LENGTH, SLOT_LENGTH, MAX_LEAF = 96, 32, 229376
SHORT_CHECK_BELOW = 4096
ROW_LAYOUTS = {0: "indexed", 1: "gathered", 2: "described"}


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
    return slot if cursor.uint(8) == xxh3(index, raw[:24]) else "damaged"


def is_valid(slot, length):
    return (isinstance(slot, dict) and slot["generation"] > 0 and slot["root_offset"] >= PREAMBLE_LENGTH
            and slot["root_offset"] + slot["root_length"] <= slot["committed"] <= length)


def choose_generation(data, preamble):
    """(where it was found, committed length, root, slots passed over): the current generation [2.2]."""
    slots = preamble["slots"]
    valid = [(name, s) for name, s in zip(("slot A", "slot B"), slots) if is_valid(s, len(data))]
    candidates = sorted(valid, key=lambda c: -c[1]["generation"])
    if len(data) >= PREAMBLE_LENGTH + 33 and data[-33] == ord("T"):
        trailer = slot_twin(data[-32:], 2)
        if is_valid(trailer, len(data)) and trailer["committed"] == len(data):
            candidates.append(("trailer", trailer))
    if slots[0] == "damaged" and len(data) > PREAMBLE_LENGTH and data[PREAMBLE_LENGTH] == ord("R"):
        candidates.append(("root at 96", None))
    passed = len([s for s in slots if s != "empty"]) - len(valid)
    for found, slot in candidates:
        try:
            root = read_root(data, slot["root_offset"], slot["root_length"]) if slot else read_root(data, 96)
            if root["generation"] > 1:
                for leaf in root["leaves"]:
                    if leaf["generation"] == root["generation"]:
                        frame_payload(data, leaf["offset"], "L", leaf["length"])
        except Refused:
            passed += 1
            continue
        return found, slot["committed"] if slot else len(data), root, passed
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


def read_root(data, offset, length=None):
    payload, end = frame_payload(data, offset, "R", length)
    cursor = Cursor(payload)
    root = {"offset": offset, "length": end - offset, "generation": cursor.varint(), "asset_count": cursor.varint(),
            "data_base": cursor.varint(), "previous": [cursor.varint(), cursor.varint()]}
    need(0 < root["generation"] < 1 << 32, "generation of the root")
    root["previous"] = root["previous"] if root["previous"][1] else [0, 0]
    root["fields"] = unknown_fields(parse_fields(cursor.take(cursor.varint())), ())
    need(not any(f["critical"] for f in root["fields"]), "unknown critical file field", Unsupported)
    root["leaves"], before, separator = [], end, b""
    for index in range(cursor.varint()):
        leaf = {"offset": before + cursor.svarint(), "length": cursor.varint(), "base": cursor.uint(1), "generation": cursor.varint()}
        shared = cursor.varint()
        need(shared <= len(separator), "separator shares too much")
        separator = separator[:shared] + cursor.take(cursor.varint())
        leaf.update(separator=separator.hex(), first_chunk=cursor.varint())
        need(leaf["base"] <= 1 and leaf["generation"] <= root["generation"], "leaf pointer")
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
        need(ordinal < 1 << 32 and ordinal not in [a["ordinal"] for a in assets] and "\0" not in name, "asset of a page")
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
        need("\0" not in Cursor(name).text(len(name)), "zero byte in a name")
        names.append(name)
    descriptors = [cursor.take(length) for length in column(cursor.varint)]
    for descriptor in descriptors:
        parse_fields(descriptor)
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
        need(lengths or not offsets[i], "offset of a row without chunks")
        if lengths:
            need(row["offset"] >= 0, "offset of a row")
            end = row["offset"] + sum(frame_lengths(row))
        rows.append(row)
    return rows


def parse_dependency(cursor):
    kind = cursor.varint()
    need(kind <= 2, f"dependency kind {kind}")
    if kind == 0:
        return {"kind": "same-asset", "entry": cursor.varint()}
    if kind == 1:
        return {"kind": "other-asset", "asset": cursor.varint(), "entry": cursor.varint()}
    return {"kind": "other-file", "content_hash": cursor.take(32).hex(), "name": cursor.text()}


def check_length(row, length):
    return 4 if row["layout"] < 2 and length < SHORT_CHECK_BELOW else 8


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
