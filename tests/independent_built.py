"""Arrays that are built from others, bundles and variants, written from format-spec/SPEC.md sections 6.1 and 6.2 alone; for independent_reader.py."""
import numpy as np

from independent_codes import rounded
from independent_coding import decode_chunk
from independent_entries import BLOCKS, DTYPES
from independent_values import Cursor, Unsupported, need

LOW_RANK, SELECT, TIERS = 56, 57, 58
BUILT = (LOW_RANK, SELECT, TIERS)
INDEX_MAP, BUNDLES = 57, 58  # entry kinds
FLOATS = {2: 2, 3: 1, 4: 0}  # dtype: float format [7.4]


def matrix(shape):
    """[6.1] Rows and columns."""
    need(shape, "an array without dimensions")
    rows = 1
    for dimension in shape[:-1]:
        rows *= dimension
    return rows, shape[-1]


def element_bytes(dtype):
    need(dtype in DTYPES and dtype not in BLOCKS and DTYPES[dtype][1] % 8 == 0, "elements that are not whole bytes")
    return DTYPES[dtype][1] // 8


def check_parameters(representation, dtype, shape):
    """[6.1.1-3] What the representation alone says."""
    kind, numbers = representation[0], representation[1:]
    element_bytes(dtype)
    rows, columns = matrix(shape)
    need(rows > 0 and columns > 0 and numbers, "an array without rows or columns, or no parameters")
    head, rest = numbers[0], numbers[1:]
    if kind == LOW_RANK:
        need(head < 8 and rest and rest[0] > 0 and all(a < b for a, b in zip(rest, rest[1:])), "flags or ranks")
        need(dtype in FLOATS, "dtype of a low-rank array")
    elif kind == SELECT:
        need(head in (1, 2, 3) and not rest, "axes")
    else:
        need(head < 2 and all(run >> 1 for run in rest) and any(run & 1 for run in rest), "runs")
        need(sum(run >> 1 for run in rest) == (columns if head else rows), "length of runs")


def numbers_of(descriptor, data):
    form = FLOATS[descriptor["dtype"]]
    if form == 2:
        return np.frombuffer(data, "<f4").astype(np.float32)
    if form == 1:
        return np.frombuffer(data, "<f2").astype(np.float32)
    return (np.frombuffer(data, "<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)


def index_map(data):
    """[6.1.2] (source place plus 1 or 0 for each place, sources)."""
    cursor = Cursor(data)
    form, places, sources = cursor.uint(1), cursor.varint(), cursor.varint()
    need(1 <= places <= 1 << 20 and 1 <= sources < 1 << 32, "places or sources of a map")
    need(form < 2, "form of a map", Unsupported)

    def none(i, kind):
        need(False, "a map with a table of others")

    if form == 0:
        bits = np.unpackbits(np.frombuffer(decode_chunk(cursor.rest(), -(-places // 8), 1, none), np.uint8), bitorder="little")
        need(not bits[places:].any() and int(bits.sum()) == sources, "mask of a map")
        found = np.cumsum(bits[:places].astype(np.int64)) * bits[:places]
    else:
        found = np.frombuffer(decode_chunk(cursor.rest(), 4 * places, 1, none), "<u4").astype(np.int64)
    need((found <= sources).all(), "a source that is not there")
    return found, sources


class Parts:
    """The dependencies of a built array, one after another."""

    def __init__(self, contents, entry):
        self.contents, self.entry, self.left = contents, entry, list(entry["dependencies"])

    def target(self):
        need(self.left, "fewer dependencies than the representation names")
        dependency = self.left.pop(0)
        need(dependency["kind"] != "other-file", "an array of another file")
        return self.contents.target(self.entry, dependency)

    def array(self):
        target = self.target()
        need(target["kind"] in (1, 56), "what it is built from is no array")
        return self.contents.describe(target), lambda: self.contents.content(target)

    def map(self):
        target = self.target()
        need(target["kind"] == INDEX_MAP, "a map that is no index map")
        return lambda: self.contents.content(target)


def build(contents, entry, descriptor):
    """[6.1] The bytes of a built array."""
    need(not any(part["lengths"] for part in entry["parts"]), "chunks of a built array")
    kind, head, rest = descriptor["representation"][0], descriptor["representation"][1], descriptor["representation"][2:]
    parts, size, (rows, columns) = Parts(contents, entry), element_bytes(descriptor["dtype"]), matrix(descriptor["shape"])
    make = {LOW_RANK: low_rank, SELECT: select, TIERS: tiers}[kind](contents, entry, descriptor, parts, size, rows, columns, head, rest)
    need(not parts.left, "more dependencies than the representation names")
    return make()


def low_rank(contents, entry, descriptor, parts, size, rows, columns, head, ranks):
    base = None
    if head & 4:
        need(parts.left, "no base")
        del parts.left[0]
        base = contents.base(entry, descriptor)
    rank = ranks[-1]
    factors = []
    for shape in ([rank, rows] if head & 1 else [rows, rank], [columns, rank] if head & 2 else [rank, columns]):
        described, content = parts.array()
        need(described["shape"] == shape and described["dtype"] in FLOATS, "shape or dtype of a factor")
        factors.append((described, content))

    def make():
        left, right = (numbers_of(d, content()).reshape(d["shape"]) for d, content in factors)
        left, right = left.T if head & 1 else left, right.T if head & 2 else right
        values = np.zeros((rows, columns), np.float32) if base is None else numbers_of(descriptor, base).reshape(rows, columns).copy()
        with np.errstate(all="ignore"):
            for k in range(rank):
                values = values + left[:, k:k + 1] * right[k]
        form, nan = FLOATS[descriptor["dtype"]], np.isnan(values)
        if form == 2:
            bits = values.view(np.uint32).copy()
            bits[nan] = 0x7FC00000
            return bits.astype("<u4").tobytes()
        values[nan] = 0
        bits = np.frombuffer(rounded(values.reshape(-1), form), "<u2").reshape(rows, columns).copy()
        bits[nan] = 0x7FC0 if form == 0 else 0x7E00
        return bits.tobytes()

    return make


def same_type(described, descriptor):
    need(described["dtype"] == descriptor["dtype"], "an array of another dtype")
    return matrix(described["shape"])


def select(contents, entry, descriptor, parts, size, rows, columns, axes, _):
    described, content = parts.array()
    sizes = same_type(described, descriptor)
    maps = []
    for bit, places, sources in ((1, rows, sizes[0]), (2, columns, sizes[1])):
        need(axes & bit or places == sources, "an axis without a map is of another size")
        maps.append((parts.map() if axes & bit else None, places, sources))

    def make():
        found = []
        for data, places, sources in maps:
            if data is None:
                found.append(np.arange(1, places + 1))
                continue
            one, of = index_map(data())
            need((len(one), of) == (places, sources), "a map of other places or sources")
            found.append(one)
        cells = np.frombuffer(content(), np.uint8).reshape(*sizes, size)
        padded = np.zeros((sizes[0] + 1, sizes[1] + 1, size), np.uint8)
        padded[1:, 1:] = cells
        return padded[found[0]][:, found[1]].tobytes()

    return make


def tiers(contents, entry, descriptor, parts, size, rows, columns, axis, runs):
    found = []
    for run in runs:
        part = parts.array() if run & 1 else None
        wanted = (rows, run >> 1) if axis else (run >> 1, columns)
        need(part is None or same_type(part[0], descriptor) == wanted, "a tier of another size")
        found.append((wanted, part))

    def make():
        cells = [np.zeros((*wanted, size), np.uint8) if part is None else np.frombuffer(part[1](), np.uint8).reshape(*wanted, size) for wanted, part in found]
        return np.concatenate(cells, axis).tobytes()

    return make


def bundles_of(data):
    """[6.2] (bundles, variants)."""
    cursor, bundles = Cursor(data), []
    for _ in range(cursor.varint()):
        name, order, unit = cursor.text(), cursor.uint(1), cursor.varint()
        levels = [cursor.varint() for _ in range(cursor.varint())]
        members = [(cursor.varint(), cursor.uint(1)) for _ in range(cursor.varint())]
        need(order < 2 and unit > 0 and levels and levels[-1] == unit and all(a < b for a, b in zip(levels, levels[1:])), f"levels of {name}")
        need(members and all(entry < 1 << 32 and axis < 3 for entry, axis in members), f"members of {name}")
        need(order == 0 or not any(level % 2 for level in levels) and not any(axis == 2 for _, axis in members), f"pairs of {name}")
        need(len(name.encode()) <= 4096, "length of a name")
        bundles.append((name, order, unit, levels, members))
    variants = []
    for _ in range(cursor.varint()):
        name, size = cursor.text(), cursor.varint()
        levels = [cursor.varint() for _ in bundles]
        need(len(name.encode()) <= 4096, "length of a name")
        need(all(level < len(bundle[3]) for level, bundle in zip(levels, bundles)), f"levels of variant {name}")
        variants.append((name, size, levels))
    cursor.done("the last variant")
    for names in ([b[0] for b in bundles], [v[0] for v in variants]):
        need(len(set(names)) == len(names), "one name for two")
    return bundles, variants


def check_bundles(contents, ordinal, entries):
    """[6.2] That what bundles cut is there; `entries` are those of the asset, by id."""
    for entry in entries.values():
        if entry["kind"] != BUNDLES:
            continue
        cut = set()
        for name, _, unit, _, members in bundles_of(contents.content(entry))[0]:
            maps = set()
            for ident, axis in members:
                target = entries.get(ident)
                need(target and target["kind"] in (1, 56) and (ident, axis) not in cut, f"members of {name}")
                cut.add((ident, axis))
                descriptor = contents.describe(target)
                representation = descriptor["representation"]
                if representation[0] == 2:
                    target = contents.target(target, target["dependencies"][0])
                    representation = contents.describe(target)["representation"]
                need(axis < 2 or representation[0] == LOW_RANK, f"a rank of {name}")
                places = representation[-1] if axis == 2 else matrix(descriptor["shape"])[axis]
                need(places > 0 and places % unit == 0, f"units of {name}")
                if representation[0] == SELECT and axis < 2 and representation[1] >> axis & 1:
                    maps.add(str(target["dependencies"][1 + (axis and representation[1] & 1)]))
            need(len(maps) <= 1, f"different maps of {name}")
