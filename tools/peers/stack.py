"""What each channel of a stack loses or gains beside a file of its own: `mcodec bench images --stack` runs it.

Arguments: mcodec, bits per pixel divided by commas, effort, pictures of one size. They are coded as one stack; then each channel is coded by itself in a file of at
most its part of the stack's bytes. PSNR of each channel in 8 bits, in dB.
"""

import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

mcodec, rates, effort, *pictures = sys.argv[1:]


def told(*args):
    done = subprocess.run([mcodec, *map(str, args), "-f", "--quiet"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)


def encode(sources, out, rate, *options):
    told("encode", *sources, "-o", out, "--bpp", rate, "--levels", 1, "-e", effort, *options)
    return out.stat().st_size


def channels_of(picture):
    with Image.open(picture) as image:
        return np.atleast_3d(np.asarray(image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGB")))


def decoded(coded, *options):
    back = coded.with_suffix(".png")
    told("decode", coded, "-o", back, *options)
    return channels_of(back)


def psnr(a, b):
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def measure(rate, folder):
    stack, one, source = folder / "stack.mcodec", folder / "one.mcodec", folder / "channel.png"
    size = encode(pictures, stack, rate, "--stack")
    sources = {Path(picture).stem: channels_of(picture) for picture in pictures}
    count = sum(channels.shape[2] for channels in sources.values())
    found = []
    for name, channels in sources.items():
        together = decoded(stack, "--channels", name)
        share = size * 8 / count / (channels.shape[0] * channels.shape[1])
        for c in range(channels.shape[2]):
            Image.fromarray(channels[..., c]).save(source)
            encode([source], one, share)
            found.append((f"{name}, {c}", psnr(channels[..., c], together[..., c]), psnr(channels[..., c], decoded(one)[..., 0])))
            print(found[-1][0], file=sys.stderr)
    return size, found


with tempfile.TemporaryDirectory() as folder:
    for rate in rates.split(","):
        size, found = measure(rate, Path(folder))
        print(f"### a stack at {rate} bits per pixel, {size} bytes: dB of each channel, and of a file of it of its part of the bytes\n")
        print("| channel | stack | file of its own | |\n|---|---|---|---|")
        # Two that are exact are alike.
        rows = [(name, ours, own, 0.0 if ours == own else ours - own) for name, ours, own in found]
        for name, ours, own, off in rows:
            print(f"| {name} | {ours:.2f} | {own:.2f} | {off:+.2f} |")
        finite = [off for *_, off in rows if math.isfinite(off)]
        print(f"\nworst {min(off for *_, off in rows):+.2f}, mean {sum(finite) / max(1, len(finite)):+.2f}\n")
