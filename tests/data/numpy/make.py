#!/usr/bin/env python3
"""make.py: writes the files of NumPy that the tests use, and what is in them as JSON, into the folder of this script. Needs numpy."""
import json
import os

import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(1)


def path(name):
    return os.path.join(here, name)


NAMES = {"<f4": "F32", "<f2": "F16", "<f8": "F64", "<i8": "I64", "|b1": "BOOL", "<c8": "C64", "<c16": "C128"}


def truth(arrays):
    """name: [dtype, shape, the row-major bytes in hex]"""
    return {k: [NAMES[a.dtype.str], list(a.shape), a.tobytes().hex()] for k, a in arrays.items()}


def main():
    plain = {
        "layer/w": rng.standard_normal((6, 5)).astype("<f4"),
        "half": rng.standard_normal(7).astype("<f2"),
        "double": rng.standard_normal((2, 2)),
        "count": np.arange(5),
        "flag": np.array([True, False]),
        "complex": np.array([1 + 2j, 3], "<c8"),
        "scalar": np.array(2.5, "<f4"),
        "empty": np.zeros((0, 3), "<f4"),
        "wide": np.array([1 + 2j], "<c16"),
    }
    odd = {
        "column": np.asfortranarray(rng.standard_normal((3, 4)).astype("<f4")),
        "big": np.arange(4, dtype=">f4"),
        "text": np.array(["ab", "c"]),
        "void": np.arange(4, dtype="<u2").view("V2"),
        "record": np.array([(1, 2.0)], dtype=[("a", "<i4"), ("b", "<f4")]),
        "object": np.array([{"a": 1}, None], dtype=object),
    }
    np.savez(path("arrays.npz"), **plain)
    np.savez(path("odd.npz"), **odd)
    np.savez_compressed(path("compressed.npz"), **plain)
    np.save(path("single.npy"), plain["layer/w"])
    with open(path("version2.npy"), "wb") as f:
        np.lib.format.write_array(f, plain["half"], version=(2, 0))
    with open(path("version3.npy"), "wb") as f:
        np.lib.format.write_array(f, plain["half"], version=(3, 0))
    expected = {
        "arrays.npz": truth(plain),
        "compressed.npz": truth(plain),
        "single.npy": truth({"single": plain["layer/w"]}),
        "version2.npy": truth({"version2": plain["half"]}),
        "version3.npy": truth({"version3": plain["half"]}),
    }
    with open(path("expected.json"), "w") as f:
        json.dump({"numpy": np.__version__, "files": expected}, f, indent=1)
        f.write("\n")


main()
