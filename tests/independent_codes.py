"""Codes and their steps, grouped codes (codings 24 and 25), written from format-spec/SPEC.md sections 7.13 and 7.14 alone; for independent_coding.py."""
import numpy as np

from independent_labelled import CLASSES, ESCAPE, ZERO, fill_is_zero, read_list, shared_classes
from independent_values import BitReader, Cursor, Unsupported, need, packed_length, unpack

COLUMN_STEPS, COLUMN_CLASSES, CODEBOOK = 24, 25, 26  # entry kinds
MOST_STEP, MOST_CLASS = 240, 2048
QUARTERS = np.array([0x3F800000, 0x3F9837F0, 0x3FB504F3, 0x3FD744FD], np.uint32).view(np.float32)


def columns_of(data, most):
    """[7.13.2]"""
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
    """[7.13.3] Signs and low bits join the numbers."""
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
    """[7.13.1] binary32 as BF16 or F16 (forms 0 and 1)."""
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


def floats(data, form):
    """Floats of formats 0 to 2 as binary32, all finite."""
    need(form <= 2, "float format of grouped codes", Unsupported)
    values = (np.frombuffer(data, "<u2").astype(np.uint32) << np.uint32(16)).view(np.float32) if form == 0 else np.frombuffer(data, ("<f2", "<f4")[form - 1]).astype(np.float32)
    need(np.isfinite(values).all(), "scale or offset that is not finite")
    return values


def decode_grouped(payload, length, dependency_bytes, decode_part):
    """[7.14]"""
    cursor = Cursor(payload)
    form = cursor.uint(1)
    if form == 0:
        need(cursor.end - cursor.at == length, "length of a stored chunk")
        return cursor.rest()
    need(form == 1, "form of grouped codes", Unsupported)
    element, flags, columns, group, bits = cursor.uint(1), cursor.uint(1), cursor.varint(), cursor.varint(), cursor.uint(1)
    need(element <= 2, "float format of grouped codes", Unsupported)
    need(flags < 4 and 1 <= columns <= 1 << 20 and 1 <= group <= columns and 1 <= bits <= 16, "head of grouped codes")
    book, v = None, 1
    if flags & 1:
        data = Cursor(dependency_bytes(cursor.varint(), CODEBOOK))
        v = data.varint()
        need(1 <= v <= 64 and (data.end - data.at) % (4 * v) == 0 and 1 <= (data.end - data.at) // (4 * v) <= 1 << 16, "codebook")
        book = np.frombuffer(data.rest(), "<f4").reshape(-1, v)
        need(np.isfinite(book).all() and columns % v == 0, "codebook")
    row = columns * (4 if element == 2 else 2)
    need(length > 0 and length % row == 0, "grouped codes that are not whole rows")
    rows, of_row = length // row, -(-columns // group)

    def part(size):
        kind = cursor.uint(1)
        return kind, decode_part(cursor.take(cursor.varint()), rows * of_row * size(kind))

    def size(kind):
        need(kind <= 2, "float format of grouped codes", Unsupported)
        return 4 if kind == 2 else 2

    kind, data = part(size)
    scales, offsets, points = floats(data, kind), None, False
    if flags & 2:
        kind, data = part(lambda kind: 1 if kind == 3 else size(kind))
        points = kind == 3
        offsets = np.frombuffer(data, np.uint8).astype(np.float32) if points else floats(data, kind)
    unit = 1 if bits <= 8 else 2
    codes = np.frombuffer(decode_part(cursor.rest(), rows * columns // v * unit), f"<u{unit}").astype(np.int64)
    need((codes < (len(book) if book is not None else 1 << bits)).all(), "grouped code out of range")
    number = (book[codes].reshape(rows, columns) if book is not None else codes.reshape(rows, columns)).astype(np.float32)
    place = np.arange(rows)[:, None] * of_row + np.arange(columns)[None] // group
    with np.errstate(over="ignore"):
        if offsets is not None:
            values = (number - offsets[place]) * scales[place] if points else number * scales[place] + offsets[place]
        else:
            values = number * scales[place] if book is not None else (number - np.float32(1 << (bits - 1))) * scales[place]
    values = values.astype(np.float32).reshape(-1)
    return values.astype("<f4").tobytes() if element == 2 else rounded(values, element)
