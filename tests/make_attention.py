"""Makes queries and keys as the attention of a video diffusion model has them, from a clip of latents [T, C, H, W] (f32, or bf16 as u16).

    make_attention.py CLIP.npy OUT [STEPS LAYERS HEADS]        (default 4 2 4)

OUT.q.npy and OUT.k.npy are f16 [step, layer, head, token, 32], tokens in the order T, H, W. There is no model here: what queries and keys have in
common with real ones is that they are linear in a noisy latent and its neighbours (the noise is one and the same at all steps, less of it at each), are
turned by their place in time and space, differ from head to head in how much they look at content and how much at place, and drift from layer to layer.

    mcodec mask OUT.q.npy OUT.k.npy --grid T,H,W -o masks.mcodec
"""
import sys
from pathlib import Path

import numpy as np

DIM = 32


def latents(path):
    array = np.load(path)
    if array.dtype == np.uint16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    array = array.astype(np.float32)
    mean, std = array.mean((0, 2, 3), keepdims=True), array.std((0, 2, 3), keepdims=True)
    return (array - mean) / np.maximum(std, 1e-6)


def around(frames):
    """Channels of each position and its eight neighbours' means: [T, H, W, 2 C]."""
    padded = np.pad(frames, ((0, 0), (0, 0), (1, 1), (1, 1)), "edge")
    height, width = frames.shape[2:]
    mean = sum(padded[:, :, y:y + height, x:x + width] for y in range(3) for x in range(3)) / 9
    return np.moveaxis(np.concatenate([frames, mean], 1), 1, 3)


def turned(vectors, places, scales):
    """Rotates pairs of numbers by their place, half of them by time, a quarter each by row and column."""
    pairs = vectors.reshape(*vectors.shape[:-1], DIM // 2, 2)
    axis = np.array([0] * (DIM // 4) + [1] * (DIM // 8) + [2] * (DIM // 8))
    angles = places[:, axis] * scales
    cos, sin = np.cos(angles), np.sin(angles)
    a, b = pairs[..., 0], pairs[..., 1]
    return np.stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(vectors.shape)


def main(source, out, steps=4, layers=2, heads=4):
    random = np.random.default_rng(6)
    clean = latents(source)
    noise = random.standard_normal(clean.shape).astype(np.float32)
    frames, _, height, width = clean.shape
    grid = np.meshgrid(np.arange(frames), np.arange(height), np.arange(width), indexing="ij")
    places = np.stack([g.reshape(-1) for g in grid], 1).astype(np.float32)
    features = 2 * clean.shape[1]
    shape = (steps, layers, heads, frames * height * width, DIM)
    queries, keys = np.empty(shape, np.float16), np.empty(shape, np.float16)
    base = random.standard_normal((layers, heads, 2, features, DIM)).astype(np.float32) / np.sqrt(features)
    # What a head always looks for, whatever is there.
    biases = 1.5 * random.standard_normal((layers, heads, DIM)).astype(np.float32)
    for step in range(steps):
        level = 0.9 - 0.8 * step / max(steps - 1, 1)
        seen = around((1 - level) * clean + level * noise).reshape(-1, features)
        seen = seen / np.sqrt((seen ** 2).mean(1, keepdims=True) + 1e-6)
        for layer in range(layers):
            for head in range(heads):
                alike = 0.5 + 0.4 * (head % 2)
                of_query, other = base[layer, head]
                of_key = alike * of_query + np.sqrt(1 - alike ** 2) * other
                fixed = biases[layer, head] * (1 + head / 2)
                scales = 10.0 ** -np.linspace(0.3, 2.5, DIM // 2, dtype=np.float32)
                sharp = 2.5 + layer
                queries[step, layer, head] = sharp * turned(seen @ of_query + fixed, places, scales)
                keys[step, layer, head] = turned(seen @ of_key + fixed, places, scales)
    np.save(f"{out}.q.npy", queries)
    np.save(f"{out}.k.npy", keys)
    print(f"{shape} in {out}.q.npy, {out}.k.npy; grid {frames},{height},{width}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *(int(n) for n in sys.argv[3:6]))
