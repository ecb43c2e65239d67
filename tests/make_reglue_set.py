"""Makes a set of samples as REGLUE (arXiv 2512.16636) keeps them, from clips of latents: SOURCE/*.f32.npy of shape [T, C, H, W], C at least 16.

    make_reglue_set.py SOURCE OUT

Of each frame OUT/NAME_FF.npz: moments f32 [8, 32, 32] (mean of four channels, then the deviation of each about its place), semantics f32 [16, 16, 16]
(sixteen channels, averaged), cls f32 [768] (means of all channels over a grid of places). And OUT.moments.json, OUT.semantics.json, OUT.cls.json: mean
and std of each channel over the set. Encode it with

    mcodec encode OUT -o set.mcodec --as latents --track vae=moments:CHW,role=distribution,stats=OUT.moments.json,normalised=no
        --track sem=semantics:CHW,role=semantics,stats=OUT.semantics.json,normalised=no --track cls=cls:C,role=global,stats=OUT.cls.json,normalised=no
"""
import json
import sys
from pathlib import Path

import numpy as np


def resized(planes, height, width):
    """Planes [C, H, W] averaged, or repeated, to another size."""
    def places(old, new):
        return [(i * old // new, max(i * old // new + 1, (i + 1) * old // new)) for i in range(new)]

    rows = np.stack([planes[:, a:b].mean(1) for a, b in places(planes.shape[1], height)], 1)
    return np.stack([rows[:, :, a:b].mean(2) for a, b in places(planes.shape[2], width)], 2).astype(np.float32)


def sample(frame):
    mean = resized(frame[:4], 32, 32)
    padded = np.pad(mean, ((0, 0), (1, 1), (1, 1)), "edge")
    around = np.stack([padded[:, y:y + 32, x:x + 32] for y in range(3) for x in range(3)])
    moments = np.concatenate([mean, around.std(0) + np.float32(0.01)]).astype(np.float32)
    places = -(-768 // frame.shape[0])
    cls = resized(frame, places, 1).reshape(-1)[:768]
    return {"moments": moments, "semantics": resized(frame[:16], 16, 16), "cls": np.ascontiguousarray(cls)}


def main(source, out):
    out.mkdir(parents=True, exist_ok=True)
    samples = []
    for clip in sorted(source.glob("*.f32.npy")):
        for t, frame in enumerate(np.load(clip)):
            samples.append(sample(frame))
            np.savez(out / f"{clip.name.split('.')[0]}_{t:02}.npz", **samples[-1])
    for name in ("moments", "semantics", "cls"):
        values = np.stack([s[name] for s in samples]).astype(np.float64)
        axes = (0,) + tuple(range(2, values.ndim))
        statistics = {"mean": values.mean(axes).tolist(), "std": np.maximum(values.std(axes), 1e-6).tolist()}
        Path(f"{out}.{name}.json").write_text(json.dumps(statistics))
    print(f"{len(samples)} samples in {out}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
