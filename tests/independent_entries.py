"""What descriptors say and what files stand for, written from format-spec/SPEC.md section 5 and REGISTRY.md alone; for independent_reader.py."""
from blake3 import blake3

from independent_values import Cursor, need

MAX_PATH = 4096
SHARED_OBJECTS = (3, 5, 6, 7, 8, 16, 17, 18, 24, 25, 26, 48, 57, 58)  # entry kinds [5.5]
ARRAYS = (1, 56)  # entry kinds of tensors and of what they are built from
REPRESENTATIONS = {1: "plain", 2: "alias", 3: "delta", 4: "same", 16: "predicted", 17: "refined", 24: "quant", 56: "low-rank", 57: "select", 58: "tiers"}
DELTA, SAME, PREDICTED, REFINED, QUANT = 3, 4, 16, 17, 24
LAYER = 9  # entry kind
FIELD_NAMES = dict(enumerate(("dtype", "dtype name", "shape", "byte length", "representation", "coding", "chunk length", "owner", "layout",
                              "schema", "bound hash", "dependency groups", "page", "reach"), 1))
FIELD_NAMES.update(enumerate(("axes", "role", "factors", "normalisation", "first frames", "line", "start", "track model", "key"), 32))
FIELD_NAMES.update({48: "planes", 49: "level", 50: "apart"})
DTYPES = {i: (n, int(b)) for i, (n, b) in enumerate((p.split(":") for p in (
    "F64:64 F32:32 F16:16 BF16:16 F8_E4M3:8 F8_E5M2:8 F8_E4M3FNUZ:8 F8_E5M2FNUZ:8 F8_E8M0:8 F6_E2M3:6 F6_E3M2:6 F4:4 I64:64 I32:32 "
    "I16:16 I8:8 I4:4 U64:64 U32:32 U16:16 U8:8 U4:4 BOOL:8 C64:64 C128:128").split()), 1)}
# id: name, elements, bytes of a block
BLOCKS = {int(i): (n, int(e), int(b)) for i, n, e, b in (p.split(":") for p in (
    "34:Q4_0:32:18 35:Q4_1:32:20 38:Q5_0:32:22 39:Q5_1:32:24 40:Q8_0:32:34 41:Q8_1:32:36 42:Q2_K:256:84 "
    "43:Q3_K:256:110 44:Q4_K:256:144 45:Q5_K:256:176 46:Q6_K:256:210 47:Q8_K:256:292 48:IQ2_XXS:256:66 "
    "49:IQ2_XS:256:74 50:IQ3_XXS:256:98 51:IQ1_S:256:50 52:IQ4_NL:32:18 53:IQ3_S:256:110 54:IQ2_S:256:82 "
    "55:IQ4_XS:256:136 61:IQ1_M:256:56 66:TQ1_0:256:54 67:TQ2_0:256:66 71:MXFP4:32:17 72:NVFP4:64:36 73:Q1_0:128:18 ").split())}


def parse_descriptor(fields, kind=None):
    values = {FIELD_NAMES[i]: v for i, _, v in fields if i in FIELD_NAMES}

    def one(name, default=None):
        return read_field(name, values[name]) if name in values else default

    return {"dtype": one("dtype"), "dtype_name": one("dtype name"), "shape": one("shape", []), "byte_length": one("byte length"),
            "representation": one("representation", [1]), "coding": one("coding", 5 if kind == LAYER else 1), "chunk_length": one("chunk length"),
            "owner": one("owner"), "layout": one("layout", 0), "schema": one("schema", ""), "bound_hash": one("bound hash"),
            "groups": one("dependency groups"), "page": one("page"), "reach": one("reach")}


def read_field(name, value):
    """The value of a known field; an unknown representation keeps its parameters as bytes."""
    cursor = Cursor(value)
    if name in ("dtype name", "schema", "axes", "role", "line", "track model", "key", "planes", "apart"):
        return cursor.text(len(value))
    if name == "normalisation":
        return value.hex()
    if name in ("shape", "factors"):
        return cursor.varints()
    if name == "representation":
        ident = cursor.varint()
        return [ident] + (cursor.varints() if ident in REPRESENTATIONS else [cursor.rest()])
    if name == "bound hash":
        need(len(value) == 32, "length of a bound hash")
        return value.hex()
    if name == "reach":
        need(len(value) % 2 == 0, "half a reach")
        return [[a & 15, a >> 4, b & 15, b >> 4] for a, b in zip(value[::2], value[1::2])]
    if name == "dependency groups":
        numbers = cursor.varints()
        need(len(numbers) == 2 and numbers[0] >= 1, "dependency groups")
        return numbers
    number = cursor.varint()
    cursor.done(f"field {name}")
    return number


def dependencies_of(entry, descriptor, chunk):
    """[4.2] What the dependency indices of a chunk count in."""
    all_of_them = entry["dependencies"][1 if has_base(entry, descriptor) else 0:]
    if descriptor["groups"] is None:
        return all_of_them
    chunks, size = descriptor["groups"]
    return all_of_them[chunk // chunks * size:][:size]


def check_tokens(target, tokens, shape):
    """[6] That what a track of this shape refines are tokens of its frames, rows and columns."""
    need(target["kind"] == 1, "tokens that are no tensor")
    if tokens["coding"] in (16, 17):
        need(tokens["dtype"] == 15 and tokens["shape"] == shape, "numbers of another shape")
        return
    need(tokens["coding"] == 18 and len(shape) == 4 and 0 not in shape, "a refined tensor of no tokens")
    need(len(tokens["shape"]) == 4 and [tokens["shape"][i] for i in (0, 2, 3)] == [shape[i] for i in (0, 2, 3)], "tokens of other frames")


def stride_of_base(entry, descriptor, total, step, base):
    """[6] Bytes of the base, of `base` in all, that go with a chunk of `step` bytes."""
    if entry["kind"] not in ARRAYS or descriptor["representation"][0] != REFINED:
        return step
    frames = descriptor["shape"][0]
    need(step % (total // frames) == 0, "chunks of a refined tensor that are no whole frames")
    return step // (total // frames) * (base // frames)


def has_base(entry, descriptor):
    """[6] Whether dependency 0 is what the tensor is told against."""
    return entry["kind"] in ARRAYS and descriptor["representation"][0] in (DELTA, SAME, REFINED)


def content_length(entry, descriptor):
    if entry["kind"] in SHARED_OBJECTS:
        return sum(n for part in entry["parts"] for n in part["lengths"])
    if entry["kind"] in ARRAYS and descriptor["dtype"] != 0:
        shape, dtype = descriptor["shape"], descriptor["dtype"]
        if 0 in shape:
            return 0
        if dtype in BLOCKS:
            need(shape and shape[-1] % BLOCKS[dtype][1] == 0, "a row that is not whole blocks")
            bits, shape = 8 * BLOCKS[dtype][2], shape[:-1] + [shape[-1] // BLOCKS[dtype][1]]
        else:
            bits = DTYPES[dtype][1]
        for dimension in shape:
            bits *= dimension
        need(bits % 8 == 0 and bits >> 3 < 1 << 63, "byte length of a tensor")
        return bits >> 3
    need(descriptor["byte_length"] is not None, "no byte length")
    return descriptor["byte_length"]


def dtype_name(descriptor):
    return descriptor["dtype_name"] if descriptor["dtype"] == 0 else (DTYPES.get(descriptor["dtype"]) or BLOCKS[descriptor["dtype"]])[0]


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
    if layout == 3:
        heads = [cursor.varint() for _ in range(cursor.varint())]
        listed = [h >> 1 for h in heads if h & 1]
        need(len(set(listed)) == len(listed) and all(i < 1 << 32 for i in listed), "tensors of a file in pieces")
        file = b"".join([tensor_of(h >> 1)[2] if h & 1 else cursor.take(h >> 1) for h in heads])
        cursor.done("the last literal")
        return file
    pad, metadata = (cursor.uint(1), cursor.text()) if layout == 2 else (None, None)
    ids = []
    for i in range(cursor.varint()):
        ids.append(cursor.svarint() + (ids[-1] + 1 if i else 0))
    tensors = [tensor_of(i) for i in ids]
    if layout == 1:
        header = cursor.rest()
        need(len(header) >= 8 and int.from_bytes(header[:8], "little") == len(header) - 8, "length of a header")
    else:
        need(pad > 0, "padding of zero")
        header = rendered_header(tensors, metadata, pad)
        cursor.done("the file's layout")
    return header + b"".join(t[2] for t in tensors)


def is_safe(path):
    """[5.4] Whether a file's name can be joined to a folder."""
    controls = any(ord(c) < 32 or 127 <= ord(c) < 160 for c in path)
    bad = any(p in ("", ".", "..") or (p[1:2] == ":" and p[0].isascii() and p[0].isalpha()) for p in path.split("/"))
    return len(path.encode()) <= MAX_PATH and not controls and not bad and "\\" not in path
