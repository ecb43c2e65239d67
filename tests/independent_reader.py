#!/usr/bin/env python3
"""A second reader of .mcodec files, written from format-spec/SPEC.md and REGISTRY.md alone.

  independent_reader.py [--base FILE]... FILE  parse FILE, check all of it, print its JSON twin; bases in the order in which they need each other
  independent_reader.py --vectors DIR          parse every NAME.mcodec of DIR and hold it against NAME.json

Needs numpy, xxhash, blake3 and zstandard. It is written to be read beside SPEC.md (section numbers in brackets), not to be fast;
section 1 (values) is in independent_values.py beside it, sections 2 to 4 in independent_container.py, section 5 (entries) in independent_entries.py, section 7 (codings) in
independent_coding.py, independent_labelled.py, independent_blocks.py, independent_difference.py, independent_gaussians.py, independent_grids.py, independent_fast_grids.py,
independent_tokens.py, independent_masks.py and independent_codes.py.
"""
import json
import sys
from pathlib import Path

from blake3 import blake3

sys.dont_write_bytecode = True  # no __pycache__ in the tree
from independent_built import BUILT, build, check_bundles, check_parameters
from independent_coding import decode_chunk, field_modes
from independent_container import (KNOWN_OPTIONAL, MINOR, PREAMBLE_LENGTH, ROW_LAYOUTS, choose_generation, chunk_places, frame_lengths, frame_payload,
                                   parse_page, parse_preamble, read_root, separator_key, slot_twin)
from independent_difference import difference_twin
from independent_entries import (ARRAYS, BLOCKS, DELTA, DTYPES, FIELD_NAMES, LAYER, PREDICTED, QUANT, REFINED, REPRESENTATIONS, SAME, SHARED_OBJECTS, check_tokens,
                                 content_length, dependencies_of, has_base, is_safe, model_hash, parse_descriptor, read_field, rebuild, rendered_header,
                                 stride_of_base)
from independent_gaussians import FAST_GAUSSIANS, GAUSSIANS, hash_of_sets, image_hash, image_of, layers_of
from independent_labelled import labelled_twin
from independent_values import Cursor, Refused, Unsupported, natural, need, parse_fields, unknown_fields, varint_length, xxh3

MAX_DEPTH = 8
ASSET_KINDS = {1: "model", 2: "blob", 3: "image", 4: "latents"}
ENTRY_KINDS = {1: "tensor", 2: "file", 3: "table", 4: "record", 5: "classes", 6: "column-labels",
               7: "difference-tables", 8: "difference-columns", 9: "layer", 16: "statistics", 17: "digits", 18: "token-model", 24: "column-steps", 25: "column-classes", 26: "codebook", 48: "level", 56: "array", 57: "index-map", 58: "bundles"}
CODINGS = {0: "raw", 1: "fields", 2: "labelled", 3: "blocks", 4: "difference", 5: "gaussians", 16: "grid-fast", 17: "grid-dense", 18: "tokens", 24: "codes", 25: "grouped", 40: "gaussians-fast", 48: "masks"}
FILE_LAYOUTS = {0: "bytes", 1: "safetensors-verbatim", 2: "safetensors-rendered", 3: "pieces"}
SCHEMAS = {"json", "masks", "recipe"}


# ------------------------------------------------------------------------------------------------------- generations, entries, contents


class Index:
    """Everything that one generation's root leads to."""

    def __init__(self, data, root, committed):
        self.data, self.root, self.committed = data, root, committed
        self.assets, self.entries, self.places = {}, {}, {}
        keys = []
        for leaf in root["leaves"] or [None]:
            payload = root["inline"] if leaf is None else frame_payload(data, leaf["offset"], "L", leaf["length"])[0]
            before = len(keys)
            self.add_page(parse_page(payload), root["data_base"] if leaf is None or leaf["base"] == 1 else 0, keys)
            if leaf and before < len(keys):
                separator = separator_key(bytes.fromhex(leaf["separator"]), leaf["first_chunk"])
                need(separator <= position(keys[before]), "separator above its own leaf")
                need(before == 0 or position(keys[before - 1]) < separator, "separator at or below the leaf before it")
        need(all(a < b for a, b in zip(keys, keys[1:])), "rows do not ascend")
        need(all(a[:3] != b[:3] or a[3] == b[3] for a, b in zip(keys, keys[1:])), "two entries of one name")
        for entry in self.entries.values():
            entry["parts"].sort(key=lambda p: p["first"])

    def add_page(self, page, base, keys):
        assets, rows = page
        for asset in assets:
            need(self.assets.setdefault(asset["ordinal"], asset) == asset, "an asset is described in two ways")
        need([r["copy"] for r in rows] == sorted(r["copy"] for r in rows), "a copy before an owned row")
        present = {(r["asset"], r["id"]) for r in rows}
        for row in rows:
            row["base"] = base
            row["closed"] = all((d.get("asset", row["asset"]), d["entry"]) in present for d in row["dependencies"] if "entry" in d)
            if row["lengths"]:
                start = base + row["offset"]
                need(PREAMBLE_LENGTH <= start and start + sum(frame_lengths(row)) <= self.committed, "chunks outside of the file")
                self.places[(row["asset"], row["id"], row["first"])] = row
        extents = sorted((r["offset"], r["offset"] + sum(frame_lengths(r))) for r in rows if r["lengths"] and not r["copy"])
        need(all(a[1] <= b[0] for a, b in zip(extents, extents[1:])), "chunks overlap")
        for row in rows:
            if not row["copy"]:
                keys.append((natural(row["asset_name"].encode()), (1, natural(row["name"].encode())), row["kind"], row["id"], row["first"]))
                entry = self.entries.setdefault((row["asset"], row["id"]), dict(row, parts=[]))
                for column in ("kind", "critical", "name", "descriptor", "dependencies"):
                    need(entry[column] == row[column], "rows of one entry id differ")
                entry["parts"].append(row)


def position(key):
    """What a separator and its first chunk are compared with."""
    return key[0], key[1], key[4]


class Contents:
    """Decodes entries of an index."""

    def __init__(self, index, bases=()):
        self.index, self.data, self.cache, self.bases = index, index.data, {}, bases

    def target(self, entry, dependency):
        need(dependency["kind"] != "other-file", "needs another file", Unsupported)
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
        need(entry["kind"] in ENTRY_KINDS, f"unknown entry kind {entry['kind']}", Unsupported)
        fields = parse_fields(entry["descriptor"])
        unknown = [i for i, critical, _ in fields if i not in FIELD_NAMES and critical]
        need(not unknown, f"unknown critical fields {unknown}", Unsupported)
        descriptor = parse_descriptor(fields, entry["kind"])
        need(entry["kind"] in SHARED_OBJECTS or descriptor["coding"] in CODINGS, f"unknown coding {descriptor['coding']}", Unsupported)
        need(entry["kind"] != 2 or descriptor["layout"] in FILE_LAYOUTS, f"unknown file layout {descriptor['layout']}", Unsupported)
        if entry["kind"] in ARRAYS:
            need(descriptor["dtype"] is not None, "no dtype")
            need(descriptor["dtype"] == 0 or descriptor["dtype"] in DTYPES or descriptor["dtype"] in BLOCKS, f"unknown dtype {descriptor['dtype']}", Unsupported)
            need(descriptor["representation"][0] in REPRESENTATIONS, f"unknown representation {descriptor['representation'][0]}", Unsupported)
            if descriptor["representation"][0] in BUILT:
                check_parameters(descriptor["representation"], descriptor["dtype"], descriptor["shape"])
            else:
                need(len(descriptor["representation"]) == (2 if descriptor["representation"][0] == 2 else 1), "parameters of a representation")
            need((descriptor["coding"] == 4) == (descriptor["representation"][0] == DELTA), "coding of a delta")
            need((descriptor["coding"] in (24, 25)) == (descriptor["representation"][0] == QUANT), "coding of a quantised tensor")
            need(descriptor["representation"][0] != QUANT or descriptor["dtype"] in (2, 3, 4), "dtype of a quantised tensor")
            need((descriptor["coding"] in (16, 17, 18)) == (descriptor["representation"][0] in (PREDICTED, REFINED)), "coding of a predicted tensor")
            need(descriptor["representation"][0] != REFINED or descriptor["coding"] == 17, "coding of a refined tensor")
        need(entry["kind"] != LAYER or descriptor["coding"] in (GAUSSIANS, FAST_GAUSSIANS), "coding of a layer")
        return descriptor

    def image(self, asset):
        """[5.8] What an image asset is, and its layers: [(entry, layer)]."""
        need(asset["kind"] == 3, "no image")
        image = image_of(asset["fields"])
        entries = [e for (a, _), e in self.index.entries.items() if a == asset["ordinal"] and e["kind"] == LAYER]
        return image, layers_of(image, entries, self.describe)

    def sets(self, entry, layer):
        """The sets of all chunks of a layer."""
        key = (entry["asset"], entry["id"])
        if key not in self.cache:
            self.cache[key] = self.decode_sets(entry, layer)
        return self.cache[key]

    def decode_sets(self, entry, layer):
        need(entry["parts"][0]["first"] == 0, "no part begins with chunk 0")
        chunks = [c for part in entry["parts"] for c in chunk_places(part, part["base"])]
        need([c["ordinal"] for c in chunks] == list(range(layer.chunks)), "chunks of a layer")
        below = []
        for lower_entry, lower in self.image(self.index.assets[entry["asset"]])[1]:
            if lower_entry is entry:
                break
            areas = [area for chunk in range(lower.chunks) for area in lower.areas(chunk)]
            below += [(area[0], *one) for area, one in zip(areas, self.sets(lower_entry, lower))]
        return [one for c in chunks for one in layer.decode(self.payload(entry, c), c["ordinal"], below)]

    def content(self, entry):
        key = (entry["asset"], entry["id"])
        if key not in self.cache:
            self.check_depth(entry)
            need(entry["parts"][0]["first"] == 0, "no part begins with chunk 0")
            descriptor = self.describe(entry)
            for dependency in entry["dependencies"][1 if has_base(entry, descriptor) else 0:]:
                self.target(entry, dependency)
            self.cache[key] = self.decode(entry, descriptor)
        return self.cache[key]

    def decode(self, entry, descriptor):
        if entry["kind"] in ARRAYS and descriptor["representation"][0] == 2:
            return self.alias(entry, descriptor)
        if entry["kind"] in ARRAYS and descriptor["representation"][0] in BUILT:
            return build(self, entry, descriptor)
        base = self.base(entry, descriptor) if has_base(entry, descriptor) else b""
        if entry["kind"] in ARRAYS and descriptor["representation"][0] == SAME:
            need(not any(p["lengths"] for p in entry["parts"]), "chunks of a tensor that is its base")
            return base
        coding = descriptor["coding"] if entry["kind"] not in SHARED_OBJECTS else 0
        total = content_length(entry, descriptor)
        chunks = [c for part in entry["parts"] for c in chunk_places(part, part["base"])]
        need([c["ordinal"] for c in chunks] == list(range(len(chunks))), "chunks are not consecutive")
        step = descriptor["chunk_length"]
        need(step != 0, "chunk length of zero")
        step = step or max(total, 1)
        need(len(chunks) == -(-total // step), "number of chunks")
        stride = stride_of_base(entry, descriptor, total, step, len(base))
        return b"".join(self.decode_chunk(entry, coding, c, base[c["ordinal"] * stride:][:stride]) for c in chunks)

    def decode_chunk(self, entry, coding, c, base):
        length, dependency_bytes = self.of_chunk(entry, c)
        payload = self.payload(entry, c)
        if coding in (24, 25) and payload[:1] == b"\1":
            need({2: 2, 3: 1, 4: 0}[self.describe(entry)["dtype"]] == (payload[1:2] or b"\xff")[0], "codes of another type of float")
        return decode_chunk(payload, length, coding, dependency_bytes, base)

    def base(self, entry, descriptor):
        """[6] All bytes of what the tensor is told against."""
        need(entry["dependencies"], "no base")
        dependency = entry["dependencies"][0]
        if dependency["kind"] == "other-file":
            name = dependency["name"] or entry["name"]
            for other in self.bases:
                found = other.find(dependency["content_hash"], name)
                if found:
                    return self.alike(other, found, descriptor)
            raise Unsupported(f"needs content hash {dependency['content_hash']}")
        target = self.target(entry, dependency)
        if descriptor["representation"][0] != REFINED:
            return self.alike(self, target, descriptor)
        check_tokens(target, self.describe(target), descriptor["shape"])
        return self.content(target)

    def alike(self, contents, target, descriptor):
        need(target["kind"] in ARRAYS, "base that is no tensor")
        other = contents.describe(target)
        need(all(other[k] == descriptor[k] for k in ("dtype", "dtype_name", "shape")), "base of another shape or dtype")
        return contents.content(target)

    def find(self, content_hash, name):
        """The tensor of this name of the asset with this content hash, if it is here."""
        for asset in self.index.assets.values():
            if asset["content_hash"] == content_hash:
                return next((e for (a, _), e in self.index.entries.items() if a == asset["ordinal"] and e["kind"] == 1 and e["name"] == name), None)
        return None

    def dependency_bytes(self, entry, descriptor, chunk):
        """Gives the content of the dependency that a chunk names by its index, which must be of a kind."""
        group = dependencies_of(entry, descriptor, chunk)

        def content_of(i, kind):
            need(i < len(group), "dependency index")
            target = self.target(entry, group[i])
            if isinstance(kind, tuple):
                need(target["kind"] in kind, "dependency of another kind")
                return target["kind"], self.content(target)
            need(target["kind"] == kind, "dependency of another kind")
            return self.content(target)

        return content_of

    def of_chunk(self, entry, chunk):
        """The decoded length of a chunk, and the content of what it names."""
        descriptor = self.describe(entry)
        total, ordinal = content_length(entry, descriptor), chunk["ordinal"]
        step = descriptor["chunk_length"] or max(total, 1)
        return min(step, total - ordinal * step), self.dependency_bytes(entry, descriptor, ordinal)

    def alias(self, entry, descriptor):
        representation = descriptor["representation"]
        need(len(representation) == 2, "alias that is not a tensor's")
        need(entry["dependencies"][:1] == [{"kind": "same-asset", "entry": representation[1]}], "alias and dependency 0")
        target = self.target(entry, entry["dependencies"][0])
        other = self.describe(target)
        need(target["kind"] in ARRAYS and other["representation"][0] != 2, "alias of an alias")
        need(all(other[k] == descriptor[k] for k in ("dtype", "dtype_name", "shape")), "alias of another shape or dtype")
        need(not any(p["lengths"] for p in entry["parts"]), "alias with chunks")
        return self.content(target)

    def payload(self, entry, c):
        payload = Cursor(self.data, c["offset"]).take(c["length"])
        ident = b"".join(v.to_bytes(n, "little") for v, n in ((entry["asset"], 4), (entry["id"], 4), (c["ordinal"], 8)))
        check = xxh3(xxh3(0, ident), payload) & ((1 << 8 * c["check_bytes"]) - 1)
        need(Cursor(self.data, c["check_at"]).uint(c["check_bytes"]) == check, f"checksum of chunk {c['ordinal']}")
        return payload


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

    def __init__(self, data, bases=()):
        self.data, self.unknown, self.damage = data, [], []
        self.preamble = parse_preamble(data)
        self.found, self.committed, self.root, passed = choose_generation(data, self.preamble)
        self.index = Index(data, self.root, self.committed)
        self.contents = Contents(self.index, bases)
        if passed:
            self.damage.append("a slot was passed over")
        if self.committed < len(data):
            self.damage.append("bytes after the committed length")
        if len(self.index.assets) != self.root["asset_count"]:
            self.damage.append("asset count")

    def report_unknown(self):
        if self.preamble["minor"] > MINOR:
            self.unknown.append(f"minor version {self.preamble['minor']}")
        extra = self.preamble["optional"] & ~KNOWN_OPTIONAL
        self.unknown.extend(f"optional feature {bit}" for bit in range(32) if extra >> bit & 1)
        self.unknown.extend(f"file field {f['id']}" for f in self.root["fields"])

    def entry_twin(self, entry):
        fields, where = parse_fields(entry["descriptor"]), f"of {entry['asset']}/{entry['name']}"
        if entry["kind"] not in ENTRY_KINDS:
            self.unknown.append(f"entry kind {entry['kind']} {where}")
        self.unknown.extend(f"field {f['id']} {where}" for f in unknown_fields(fields, FIELD_NAMES) if not f["critical"])
        twin = {"asset": entry["asset"], "id": entry["id"], "kind": ENTRY_KINDS.get(entry["kind"], entry["kind"]),
                "critical": entry["critical"], "name": entry["name"], "dependencies": entry["dependencies"],
                "descriptor": dict(map(field_twin, fields)), "parts": [self.part_twin(entry, p) for p in entry["parts"]]}
        try:
            self.check_record(entry, where)
            twin["content"] = self.layer_twin(entry) if entry["kind"] == LAYER else bytes_twin(self.contents.content(entry))
        except Refused as refused:
            twin["refused"] = str(refused)
            if not isinstance(refused, Unsupported):
                self.damage.append(f"{refused} {where}")
        return twin

    def layer_twin(self, entry):
        _, layers = self.contents.image(self.index.assets[entry["asset"]])
        sets = next(self.contents.sets(e, layer) for e, layer in layers if e is entry)
        return {"sets": [len(symbols) for symbols, _ in sets], "blake3": blake3(hash_of_sets(sets)).hexdigest()}

    def part_twin(self, entry, part):
        chunks = chunk_places(part, part["base"])
        coding = dict((i, v) for i, _, v in parse_fields(entry["descriptor"])).get(6, b"\1")
        if coding in (b"\1", b"\2", b"\4") and entry["kind"] in (1, 2, 4, 56):
            for chunk in chunks:
                try:
                    payload = self.data[chunk["offset"]:chunk["offset"] + chunk["length"]]
                    if coding == b"\4":
                        chunk["difference"] = difference_twin(payload, lambda: self.contents.of_chunk(entry, chunk))
                    elif coding == b"\2" and payload[:1] == b"\1":
                        chunk["labelled"] = labelled_twin(payload, lambda: self.contents.of_chunk(entry, chunk))
                    else:
                        chunk["fields"] = field_modes(Cursor(payload))
                except Refused:
                    pass  # decoding says why
        return {"first_chunk": part["first"], "layout": ROW_LAYOUTS[part["layout"]], "chunks": chunks}

    def check_record(self, entry, where):
        if entry["kind"] == 4:
            descriptor = self.contents.describe(entry)
            if descriptor["schema"] not in SCHEMAS and not entry["critical"]:
                self.unknown.append(f"schema {descriptor['schema']} {where}")
            need(descriptor["bound_hash"] == self.index.assets[entry["asset"]]["content_hash"], "bound to another content hash")

    def asset_twin(self, asset):
        twin = {k: asset[k] for k in ("ordinal", "critical", "name", "content_hash")}
        twin["kind"] = ASSET_KINDS.get(asset["kind"], asset["kind"])
        twin["source"] = next((Cursor(v).varint() for i, _, v in asset["fields"] if i == 1), None)
        base = next((v for i, _, v in asset["fields"] if i == 2 and len(v) >= 32), None)
        if base is not None:
            twin["base"] = {"content_hash": base[:32].hex(), "name": base[32:].decode("utf-8", "replace")}
        twin["unknown_fields"] = unknown_fields(asset["fields"], (1, 2, 3, 16, 17, 18, 24))
        self.unknown.extend(f"asset field {f['id']} of {asset['ordinal']}" for f in twin["unknown_fields"] if not f["critical"])
        if asset["kind"] not in ASSET_KINDS and not asset["critical"]:
            self.unknown.append(f"asset kind {asset['kind']} of {asset['ordinal']}")
        self.check_hash(asset)
        try:
            check_bundles(self.contents, asset["ordinal"], {e["id"]: e for e in self.entries_of(asset, None)})
        except Refused as refused:
            self.damage.append(f"{refused} of {asset['name']}")
        try:
            need(asset["kind"] in ASSET_KINDS or not asset["critical"], "unknown critical asset kind")
            need(not any(f["critical"] for f in twin["unknown_fields"]), "unknown critical asset field")
            for entry in self.entries_of(asset, None):
                need(not entry["critical"] or entry["kind"] in ENTRY_KINDS, f"unknown critical entry {entry['name']}")
                if entry["critical"] and entry["kind"] == 4:
                    need(self.contents.describe(entry)["schema"] in SCHEMAS, f"required record {entry['name']}")
            if asset["kind"] == 3:
                twin["image"] = self.contents.image(asset)[0].twin()
                return twin
        except Refused as refused:
            twin["refused"] = str(refused)
            if asset["kind"] == 3 and not isinstance(refused, Unsupported):
                self.damage.append(f"{refused} of {asset['name']}")
            return twin
        if asset["kind"] in ASSET_KINDS:
            try:
                twin["files"] = [{"name": n, "length": len(d), "blake3": blake3(d).hexdigest()} for n, d in self.files(asset, twin["source"])]
            except Refused:
                twin["files"] = None
        return twin

    def entries_of(self, asset, kind):
        return [e for (a, _), e in self.index.entries.items() if a == asset["ordinal"] and kind in (None, e["kind"])]

    def tensor(self, entry):
        return entry["name"], self.contents.describe(entry), self.contents.content(entry)

    def tensors(self, asset):
        return [self.tensor(e) for e in self.entries_of(asset, 1) if self.contents.describe(e)["owner"] is None]

    def check_hash(self, asset):
        """Compares the content hash, if everything that it needs can be decoded."""
        try:
            if asset["kind"] not in ASSET_KINDS:
                return
            if asset["kind"] in (1, 4):
                found = model_hash(self.tensors(asset))
            elif asset["kind"] == 3:
                image, layers = self.contents.image(asset)
                found = image_hash(image, [(layer, self.contents.sets(entry, layer)) for entry, layer in layers])
            else:
                found = blake3(self.contents.content(self.entries_of(asset, 2)[0])).hexdigest()
        except (Refused, IndexError):
            return
        if found != asset["content_hash"]:
            self.damage.append(f"content hash of asset {asset['ordinal']}")

    def files(self, asset, source):
        """[(name, bytes)] of the files that the asset was made from."""
        out = []
        if source is not None:
            tensors = sorted(self.tensors(asset), key=lambda t: (-DTYPES.get(t[1]["dtype"], ("", 0))[1], t[0].encode()))
            out.append((asset["name"] + ".safetensors", rendered_header(tensors, "", 8) + b"".join(t[2] for t in tensors)))

        def tensor_of(ident):
            need((asset["ordinal"], ident) in self.index.entries, "file of a tensor that is not there")
            return self.tensor(self.index.entries[(asset["ordinal"], ident)])

        for entry in self.entries_of(asset, 2):
            name = entry["name"] or asset["name"]
            need(is_safe(name), f"name of a file {name}")
            out.append((name, rebuild(self.contents.describe(entry)["layout"], self.contents.content(entry), tensor_of)))
        return out

    def generations(self):
        """This generation's index and those before it, for the places of their chunks."""
        indexes, root = [self.index], self.root
        while root["previous"][1]:
            generation = root["generation"]
            root = read_root(self.data, *root["previous"])
            need(root["generation"] < generation, "generations do not descend")
            indexes.append(Index(self.data, root, self.committed))
        return indexes

    def check_chunks(self):
        """Checks every chunk of this generation, also of entries that are not decoded."""
        for row in self.index.places.values():
            for place in chunk_places(row, row["base"]):
                self.contents.payload(row, place)

    def value(self):
        self.report_unknown()
        entries = [self.entry_twin(self.index.entries[key]) for key in sorted(self.index.entries)]
        assets = [self.asset_twin(self.index.assets[o]) for o in sorted(self.index.assets)]
        frames = None
        try:
            frames = walk(self.data, self.generations(), self.committed, self.unknown)
            self.check_chunks()
        except Refused as refused:
            self.damage.append(str(refused))
        root = {k: v for k, v in self.root.items() if k != "inline"}
        return {"length": len(self.data), "found_by": self.found, "preamble": self.preamble, "root": root, "frames": frames, "assets": assets,
                "entries": entries, "unknown": sorted(self.unknown), "damage": self.damage}


def bytes_twin(content):
    twin = {"length": len(content), "blake3": blake3(content).hexdigest()}
    return dict(twin, hex=content.hex()) if len(content) <= 64 else twin


def field_twin(field):
    """(name, value) of a field of a descriptor, whether or not this reader supports what it says."""
    ident, critical, raw = field
    if ident not in FIELD_NAMES:
        return str(ident), {"critical": critical, "value": raw.hex()}
    name = FIELD_NAMES[ident]
    try:
        value = read_field(name, raw)
    except Refused:
        return name, {"malformed": raw.hex()}
    if name == "dtype":
        value = "opaque" if value == 0 else (DTYPES.get(value) or BLOCKS.get(value) or (value,))[0]
    elif name == "representation":
        value = [REPRESENTATIONS.get(value[0], value[0]), raw[varint_length(value[0]):].hex()]
    elif name in ("coding", "layout"):
        value = (CODINGS if name == "coding" else FILE_LAYOUTS).get(value, value)
    return name, value


def twin_of(data, bases=()):
    try:
        return Twin(data, bases).value()
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
    bases = []
    while len(arguments) > 2 and arguments[0] == "--base":
        bases.append(Twin(Path(arguments[1]).read_bytes(), list(bases)).contents)
        arguments = arguments[2:]
    if len(arguments) == 1 and not arguments[0].startswith("-"):
        twin = twin_of(Path(arguments[0]).read_bytes(), bases)
        print(json.dumps(twin, indent=1))
        return 1 if "refused" in twin else 0
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
