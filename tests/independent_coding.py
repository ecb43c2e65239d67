"""Codings of the mcodec format, written from format-spec/SPEC.md section 7 alone; for independent_reader.py."""
import numpy as np

from independent_blocks import decode_blocks
from independent_codes import decode_codes, decode_grouped
from independent_difference import decode_difference
from independent_grids import decode_grid
from independent_labelled import decode_labelled
from independent_masks import decode_masks
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
        need(unit in (8, 16, 24, 32, 40, 64), f"unit of {unit} bits", Unsupported)
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


def decode_chunk(payload, length, coding, dependency_bytes, base=None):
    need(coding != 5, "sets of Gaussians are no bytes")
    if coding == 0:
        need(len(payload) == length, "length of a raw chunk")
        return payload
    if coding == 4:
        return decode_difference(payload, length, dependency_bytes, base, decode_chunk)
    if coding in (16, 17, 18):
        return decode_grid(payload, length, coding, dependency_bytes, base)
    if coding == 48:
        return payload[1:] if payload[:1] == b"\0" and len(payload) == length + 1 else decode_masks(payload, length)
    if coding == 24:
        return decode_codes(payload, length, dependency_bytes)
    if coding == 25:
        return decode_grouped(payload, length, dependency_bytes, lambda part, n: decode_chunk(part, n, 1, dependency_bytes))
    if coding == 2 and payload[:1] == b"\1":
        return decode_labelled(payload, length, dependency_bytes)
    cursor = Cursor(payload)
    if coding == 3:
        return decode_blocks(cursor, length, decode_field)
    if payload[:1] == b"\2":
        return decode_sparse(cursor, length, dependency_bytes)
    unit, heads = field_heads(cursor)
    if unit == 0:
        need(cursor.end - cursor.at == length, "length of a stored chunk")
        return cursor.rest()
    return decode_units(cursor, length, unit, heads, dependency_bytes)


def decode_sparse(cursor, length, dependency_bytes):
    """[7.1.1]"""
    cursor.uint(1)
    unit, filler, count = cursor.uint(1), cursor.varint(), cursor.varint()
    need(unit in (8, 16, 24, 32, 40, 64), f"unit of {unit} bits", Unsupported)
    need(8 * length % unit == 0, "length is not a multiple of the unit")
    n = 8 * length // unit
    need(filler < 1 << unit, "filler too wide")
    need(count <= n, "more values than units")
    places = dense(cursor.take(cursor.varint()), (n + 7) // 8, dependency_bytes)
    is_value = np.unpackbits(np.frombuffer(places, np.uint8), bitorder="little")
    need(not is_value[n:].any(), "places not filled with zero bits")
    need(int(is_value.sum()) == count, "places and values differ in number")
    units = np.tile(np.frombuffer(filler.to_bytes(unit // 8, "little"), np.uint8), (n, 1))
    units[is_value[:n] == 1] = np.frombuffer(dense(cursor.rest(), count * unit // 8, dependency_bytes), np.uint8).reshape(count, unit // 8)
    return units.tobytes()


def dense(payload, length, dependency_bytes):
    cursor = Cursor(payload)
    unit, heads = field_heads(cursor)
    need(unit, "stored within a sparse chunk", Unsupported)
    return decode_units(cursor, length, unit, heads, dependency_bytes)


def decode_units(cursor, length, unit, heads, dependency_bytes):
    need(8 * length % unit == 0, "length is not a multiple of the unit")
    n, shift = 8 * length // unit, 0
    units = np.zeros(n, np.uint64)
    for width, mode, parameters in heads:
        units |= decode_field(cursor, width, mode, parameters, n, dependency_bytes) << np.uint64(shift)
        shift += width
    cursor.done("the last field")
    return units.astype("<u8").view(np.uint8).reshape(n, 8)[:, :unit // 8].tobytes()


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


def field_modes(cursor):
    """[unit, [width, mode]...] of a payload of coding 1; [2, unit, filler, count] of a sparse one."""
    unit = cursor.uint(1)
    if unit == 2:
        return [unit, cursor.uint(1), cursor.varint(), cursor.varint()]
    out = [unit]
    for _ in range(cursor.uint(1) if unit else 0):
        width, mode = cursor.uint(1), cursor.uint(1)
        out.append([width, FIELD_MODES.get(mode, mode)])
        for _ in range(NUMBERS_OF_MODE[mode] if mode in FIELD_MODES else 0):
            cursor.varint()
    return out
