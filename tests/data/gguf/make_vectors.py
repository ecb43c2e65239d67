#!/usr/bin/env python3
"""Writes dequantised.bin: random blocks of every type that the `gguf` package can dequantise, with the f32 it gives.

  make_vectors.py              write dequantised.bin beside this script
  make_vectors.py --grids      print decoder/src/dequantise/grid_tables.rs

Needs numpy and gguf (made with gguf 0.19.0). The file is a sequence of: length of the name u8, name, number of blocks u8, the
blocks, and the f32 of their elements; all little-endian.
"""
import sys
from pathlib import Path

import gguf.quants as quants
import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

TYPES = ("Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ2_XXS IQ2_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ2_S IQ4_XS IQ1_M "
         "TQ1_0 TQ2_0 MXFP4 NVFP4").split()
# Where the halves of a block are that scale its elements.
HALVES = {"Q4_1": (0, 2), "Q5_1": (0, 2), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q2_K": (80, 82), "Q3_K": (108,), "Q6_K": (208,),
          "TQ1_0": (52,), "TQ2_0": (64,), "IQ1_M": (), "MXFP4": (), "NVFP4": ()}
GRIDS = ("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S")
BLOCKS = 6


def blocks_of(name, length, rng):
    """Any codes; scales that are finite: positive, negative, denormal and zero."""
    blocks = rng.integers(0, 256, (BLOCKS, length), np.uint8)
    for at in HALVES.get(name, (0,)):
        halves = (rng.standard_normal(BLOCKS) * 0.1).astype(np.float16)
        halves[1], halves[2] = 3e-7, -0.0
        blocks[:, at:at + 2] = halves.view(np.uint8).reshape(-1, 2)
    if name == "IQ1_M":
        blocks[:, 55] = blocks[:, 55] & 0x0F | 0x20
    if name == "MXFP4":
        blocks[:, 0] = (0, 1, 2, 120, 127, 200)
    if name == "NVFP4":
        blocks[0, :4] = (0, 0x7F, 1, 0x7E)
    return blocks


def vectors():
    rng = np.random.default_rng(20261125)
    for name in TYPES:
        kind = GGMLQuantizationType[name]
        blocks = blocks_of(name, GGML_QUANT_SIZES[kind][1], rng)
        values = np.ascontiguousarray(quants.dequantize(blocks.reshape(1, -1), kind), "<f4")
        assert np.isfinite(values).all(), name
        yield bytes([len(name)]) + name.encode() + bytes([BLOCKS]) + blocks.tobytes() + values.tobytes()


def print_grids():
    print("//! The points of the grids that the i-quants index, from ggml's `ggml-common.h` (MIT licence): each number of a point as its\n"
          "//! index among those that the grid uses, the first lowest; 2 bits each in points of eight numbers, 3 in points of four.\n"
          "//!\n//! Written by `tests/data/gguf/make_vectors.py`, which reads them from the `gguf` Python package.")
    for name in GRIDS:
        grid = getattr(quants, name)
        grid.init_grid()
        bits = 2 if grid.grid_shape[1] == 8 else 3
        numbers = list(grid.grid_map)
        points = [sum(numbers.index(int(n)) << bits * i for i, n in enumerate(point)) for point in grid.grid.reshape(grid.grid_shape)]
        print(f"\n#[rustfmt::skip]\npub(super) const {name}: [u16; {len(points)}] = [")
        for i in range(0, len(points), 16):
            print("    " + ", ".join(f"0x{p:04X}" for p in points[i:i + 16]) + ",")
        print("];")


if __name__ == "__main__":
    if sys.argv[1:] == ["--grids"]:
        print_grids()
    else:
        Path(__file__).with_name("dequantised.bin").write_bytes(b"".join(vectors()))
