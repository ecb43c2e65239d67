"""Codes and their steps (coding 24), written from format-spec/SPEC.md section 7.12 alone; for independent_coding.py."""
import numpy as np

from independent_labelled import CLASSES, ESCAPE, ZERO, fill_is_zero, read_list, shared_classes
from independent_values import BitReader, Cursor, Unsupported, need, packed_length, unpack

COLUMN_STEPS, COLUMN_CLASSES = 24, 25  # entry kinds
MOST_STEP, MOST_CLASS = 240, 2048
QUARTERS = np.array([0x3F800000, 0x3F9837F0, 0x3FB504F3, 0x3FD744FD], np.uint32).view(np.float32)


def columns_of(data, most):
    """[7.12.2]"""
    cursor = Cursor(data)
    count = cursor.varint()
    need(1 <= count <= 1 << 20, "column count")
    values = read_list(cursor, count, -most, most)
    cursor.done("columns")
    return values


def stream(cursor, classes, element_class, lanes, absorbed, count, plane_length):
    """The numbers of the elements, and the plane."""
    bits = BitReader(cursor.data, cursor.at, cursor.end)
    sizes = [16 + bits.bits(4) for _ in range(lanes)]
    states = np.array([(1 << size) + bits.bits(size) for size in sizes], np.int64)
    cursor.take(bits.close("states"))
    plane = cursor.take(plane_length)
    escapes = unpack(cursor.take(packed_length(count, 11)), 11, count).astype(np.int64)
    need((cursor.end - cursor.at) % 2 == 0, "half a rANS word")
    words, at, n = np.frombuffer(cursor.rest(), "<u2").astype(np.int64), 0, len(element_class)
    table, symbols = classes.table[element_class] << classes.precision, np.zeros(n, np.int64)
    for start in range(0, n, lanes):
        lane = np.arange(min(lanes, n - start))
        slot = table[start:start + len(lane)] + (states[lane] & ((1 << classes.precision) - 1))
        symbols[start:start + len(lane)] = classes.symbol[slot]
        x = classes.frequency[slot] * (states[lane] >> classes.precision) + classes.bias[slot]
        low = np.flatnonzero(x < 1 << 16)
        need(at + len(low) <= len(words), "rANS words run out")
        x[low] = x[low] << 16 | words[at:at + len(low)]
        at += len(low)
        states[lane] = x
    need(at == len(words), "rANS words left over")
    if absorbed:
        need((states >= 1 << 31).all(), "rANS state without its highest bit")
        value = sum((int(x) & 0x7FFFFFFF) << (31 * i) for i, x in enumerate(states))
        held = 31 * lanes // 8
        need(value >> (8 * held) == 0, "fill bits of the states")
        plane += value.to_bytes(held, "little")
    else:
        need((states == 1 << 16).all(), "rANS stream does not end as it must")
    numbers = np.where(symbols == ZERO, 0, symbols)
    escaped = np.flatnonzero(symbols == ESCAPE)
    need(len(escaped) == count, "number of escapes")
    numbers[escaped] = escapes
    return numbers, plane


def codes_of(numbers, element_class, plane):
    """[7.12.3] Signs and low bits join the numbers."""
    bits, at, codes = np.unpackbits(np.frombuffer(plane, np.uint8), bitorder="little"), 0, []
    for h, k in zip(numbers.tolist(), element_class.tolist()):
        low = 24 if h == 2047 else max(0, (k - 15) // 2) if k >= 17 else 0
        need(at + low <= len(bits), "plane ends early")
        v = sum(int(b) << i for i, b in enumerate(bits[at:at + low]))
        at += low
        magnitude = v if h == 2047 else (h << low) + v
        need(magnitude < 1 << 24, "code above 24 bits")
        if magnitude:
            need(at < len(bits), "plane ends early")
            codes.append(-magnitude if bits[at] else magnitude)
            at += 1
        else:
            codes.append(0)
    need(len(bits) - at < 8, "plane left over")
    fill_is_zero(plane, at)
    return np.array(codes, np.int64)


def rounded(values, form):
    """[7.12.1] binary32 as BF16 or F16 (forms 0 and 1)."""
    if form == 1:
        with np.errstate(over="ignore"):
            return values.astype(np.float16).tobytes()
    units = values.view(np.uint32).astype(np.uint64)
    return ((units + 0x7FFF + (units >> np.uint64(16) & np.uint64(1))) >> np.uint64(16)).astype("<u2").tobytes()


def decode_codes(payload, length, dependency_bytes):
    cursor = Cursor(payload)
    form = cursor.uint(1)
    if form == 0:
        need(cursor.end - cursor.at == length, "length of a stored chunk")
        return cursor.rest()
    need(form == 1, "form of a chunk of codes", Unsupported)
    element, flags = cursor.uint(1), cursor.uint(1)
    need(element <= 2, "float format of codes", Unsupported)
    need(flags < 16 and flags & 6 != 6, "flags of codes")
    classes_at, columns, first = cursor.varint(), cursor.varint(), cursor.varint()
    need(1 <= columns <= 1 << 20 and first < columns, "columns of codes")
    steps_at = cursor.varint() if flags & 1 else None
    column_classes_at = cursor.varint() if flags & 2 else None
    classes = shared_classes(dependency_bytes(classes_at, CLASSES))
    need(classes.high_bits == 11 and not classes.signs and classes.codes is None and not classes.offset.any(), "classes that are not of codes")
    size = 4 if element == 2 else 2
    need(length > 0 and length % size == 0, "length is not a multiple of the float's")
    n = length // size
    column_steps, column_classes = np.zeros(columns, np.int64), np.zeros(columns, np.int64)
    if steps_at is not None:
        column_steps = columns_of(dependency_bytes(steps_at, COLUMN_STEPS), MOST_STEP)
    if column_classes_at is not None:
        column_classes = columns_of(dependency_bytes(column_classes_at, COLUMN_CLASSES), MOST_CLASS)
    if flags & 4:
        column_classes = read_list(cursor, columns, -MOST_CLASS, MOST_CLASS)
    need(len(column_steps) == columns and len(column_classes) == columns, "another number of columns")
    rows = -(-(first + n) // columns)
    row_steps = read_list(cursor, rows, -MOST_STEP, MOST_STEP)
    row_classes = read_list(cursor, rows, -MOST_CLASS, MOST_CLASS)
    count, plane_length, lane_bits = cursor.varint(), cursor.varint(), cursor.uint(1)
    need(count <= n, "more escapes than elements")
    need(lane_bits <= 6, "lane count", Unsupported)
    place = first + np.arange(n, dtype=np.int64)
    row, column = place // columns, place % columns
    of_row, of_column = row_classes - (row_steps >> 1), column_classes - (column_steps >> 1)
    element_class = np.clip(of_row[row] + of_column[column], 0, len(classes.table) - 1)
    numbers, plane = stream(cursor, classes, element_class, 1 << lane_bits, bool(flags & 8), count, plane_length)
    codes = codes_of(numbers, element_class, plane)
    exponent = row_steps[row] + column_steps[column]
    steps = np.ldexp(QUARTERS[exponent & 3], (exponent >> 2).astype(np.int32)).astype(np.float32)
    with np.errstate(over="ignore"):
        values = codes.astype(np.float32) * steps
    return values.astype("<f4").tobytes() if element == 2 else rounded(values, element)
