#!/usr/bin/env python3
"""ggml_quants.py [LIBRARY]: quantises matrices with llama.cpp's own quantisers, for `mcodec bench quant`.

The quantisers are those of the ggml sources in the package ggml-python (or in LIBRARY, a shared library with ggml_quantize_chunk).
A first line is printed: {"version": ..., "types": {NAME: bits of a weight}}. Then for each line of JSON on the standard input,
{"type": NAME, "rows": R, "columns": C, "importance": true or false}, R x C floats follow (little endian, f32), and with importance C more: the
mean squares of what the columns are multiplied by. Out come R x C floats: what the codes stand for. Rows are padded with zeros to whole
blocks of 256; there are no fallback types.
"""
import ctypes
import json
import os
import sys

import numpy as np

TYPES = {"Q2_K": 10, "Q3_K": 11, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14, "IQ2_XXS": 16, "IQ2_XS": 17, "IQ3_XXS": 18, "IQ4_NL": 20, "IQ3_S": 21, "IQ2_S": 22,
         "IQ4_XS": 23, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q8_0": 8}


class Traits(ctypes.Structure):
    _fields_ = [("type_name", ctypes.c_char_p), ("blck_size", ctypes.c_int64), ("blck_size_interleave", ctypes.c_int64), ("type_size", ctypes.c_size_t),
                ("is_quantized", ctypes.c_bool), ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)), ("from_float_ref", ctypes.c_void_p)]


def libraries():
    if len(sys.argv) > 1:
        return sys.argv[1:2]
    # Found without importing it, which would load all backends.
    import importlib.util
    spec = importlib.util.find_spec("ggml")
    if spec is None:
        sys.exit("the package ggml-python is not installed")
    folder = os.path.dirname(spec.origin)
    found = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names if "ggml" in name and (".so" in name or name.endswith((".dylib", ".dll")))]
    # What has the quantisers itself first; others need it.
    return sorted(found, key=lambda path: ("base" not in path, path))


def load():
    for path in libraries():
        try:
            library = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
            library.ggml_quantize_chunk
            return library
        except (OSError, AttributeError):
            continue
    sys.exit("no library with ggml_quantize_chunk")


def main():
    library = load()
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    library.ggml_get_type_traits.restype = ctypes.POINTER(Traits)
    library.ggml_blck_size.restype = ctypes.c_int64
    library.ggml_type_size.restype = ctypes.c_size_t
    library.ggml_quantize_requires_imatrix.restype = ctypes.c_bool
    bits = {name: 8 * library.ggml_type_size(of) / library.ggml_blck_size(of) for name, of in TYPES.items()}
    needs = [name for name, of in TYPES.items() if library.ggml_quantize_requires_imatrix(of)]
    out, source = sys.stdout.buffer, sys.stdin.buffer
    import importlib.metadata
    try:
        version = "ggml-python " + importlib.metadata.version("ggml-python")
    except importlib.metadata.PackageNotFoundError:
        version = "ggml"
    out.write(json.dumps({"version": version, "types": bits, "needs_importance": needs}).encode() + b"\n")
    out.flush()
    for line in source:
        what = json.loads(line)
        rows, columns, of = what["rows"], what["columns"], TYPES[what["type"]]
        read = lambda n: np.frombuffer(source.read(4 * n), dtype="<f4")
        weights = read(rows * columns).reshape(rows, columns)
        importance = read(columns) if what["importance"] else None
        # Whole super-blocks, whatever the type's block.
        wide = -(-columns // 256) * 256
        padded = np.zeros((rows, wide), np.float32)
        padded[:, :columns] = weights
        if importance is not None:
            importance = np.ascontiguousarray(np.pad(importance, (0, wide - columns), constant_values=1e-6 * float(importance.mean())))
        coded = np.empty(rows * wide * library.ggml_type_size(of) // library.ggml_blck_size(of), np.uint8)
        library.ggml_quantize_chunk(of, padded.ctypes.data, coded.ctypes.data, 0, rows, wide, None if importance is None else importance.ctypes.data)
        back = np.empty((rows, wide), np.float32)
        library.ggml_get_type_traits(of).contents.to_float(coded.ctypes.data, back.ctypes.data, rows * wide)
        out.write(np.ascontiguousarray(back[:, :columns], dtype="<f4").tobytes())
        out.flush()


if __name__ == "__main__":
    main()
