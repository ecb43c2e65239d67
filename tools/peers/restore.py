"""Whether `encode --restore` comes nearer to what a picture was before damage: `mcodec bench images --restore` runs it.

Arguments: mcodec, effort, pictures. Each is damaged by JPEG of quality 10 and by normal noise of standard deviation 25 (of 255); PSNR in dB against what it
was, of the damaged picture and of the restored one.
"""

import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

mcodec, effort, *pictures = sys.argv[1:]


def told(*args):
    done = subprocess.run([mcodec, *map(str, args), "-f", "--quiet"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)


def jpeg(clean, folder):
    path = folder / "damaged.jpg"
    Image.fromarray(clean).save(path, quality=10)
    return path


def noise(clean, folder):
    path = folder / "damaged.png"
    noisy = clean + np.random.default_rng(25).normal(0, 25, clean.shape)
    Image.fromarray(np.clip(np.round(noisy), 0, 255).astype(np.uint8)).save(path)
    return path


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def psnr(a, b):
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


with tempfile.TemporaryDirectory() as folder:
    coded, restored = Path(folder) / "coded.mcodec", Path(folder) / "restored.png"
    print("| picture | JPEG quality 10 | restored | | noise of 25 | restored | |\n|---|---|---|---|---|---|---|")
    gains = [[], []]
    for at, picture in enumerate(pictures):
        print(f"{at + 1} of {len(pictures)}: {Path(picture).name}", file=sys.stderr)
        clean, cells = pixels(picture), []
        for of, damage in enumerate((jpeg, noise)):
            damaged = damage(clean, Path(folder))
            told("encode", damaged, "-o", coded, "--restore", "-e", effort)
            told("decode", coded, "-o", restored)
            before, after = psnr(clean, pixels(damaged)), psnr(clean, pixels(restored))
            gains[of].append(after - before)
            cells += [f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}"]
        print(f"| {Path(picture).stem} | {' | '.join(cells)} |")
    nearer = [sum(gain > 0 for gain in of) for of in gains]
    print(f"\nNearer: {nearer[0]} and {nearer[1]} of {len(pictures)}, in the mean {np.mean(gains[0]):+.2f} and {np.mean(gains[1]):+.2f} dB.")
