"""What levels cost, and what the picture of each is worth: `mcodec bench images --levels N` runs it.

Arguments: mcodec, bits per pixel divided by commas, effort, levels, pictures. Each picture is coded with levels and with one, at the same size; then each
prefix of the file is held against a file of one level that has its size. PSNR over all channels, in dB.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

mcodec, rates, effort, levels, *pictures = sys.argv[1:]


# Of diff: there is a difference.
DIFFERS = 4


def told(*args):
    done = subprocess.run([mcodec, *map(str, args)], capture_output=True, text=True)
    if done.returncode not in (0, DIFFERS):
        sys.exit(done.stderr)
    return done.stdout


def encode(picture, out, rate, count):
    told("encode", picture, "-f", "-o", out, "--bpp", rate, "--levels", count, "-e", effort, "--quiet")
    return out.stat().st_size


def psnr(picture, coded, level=None):
    back = coded.with_suffix(".png")
    told("decode", coded, "-f", "-o", back, "--quiet", *([] if level is None else ["--level", level]))
    return float(re.search(r"PSNR ([\d.]+|inf)", told("diff", picture, back)).group(1))


def measure(picture, rate, folder):
    layered, single = folder / "layered.mcodec", folder / "single.mcodec"
    size = encode(picture, layered, rate, levels)
    image = json.loads(told("info", "--json", layered))["assets"][0]["image"]
    pixels = image["width"] * image["height"]
    parts = [level["bytes"] for level in image["levels"]]
    rows = []
    for level in range(len(parts)):
        prefix = size - sum(parts[level + 1 :])
        own = psnr(picture, layered, level)
        encode(picture, single, prefix * 8 / pixels, 1)
        rows.append((prefix / size, own, own - psnr(picture, single)))
    return rows


with tempfile.TemporaryDirectory() as folder:
    for rate in rates.split(","):
        print(f"### {levels} levels at {rate} bits per pixel: part of the file, dB, and dB against a file of one level of that size\n")
        print("| picture | " + " | ".join(f"level {level}" for level in range(int(levels))) + " |")
        print("|---|" + "---|" * int(levels))
        all_rows = []
        for picture in pictures:
            print(f"{picture} at {rate}", file=sys.stderr)
            rows = measure(picture, rate, Path(folder))
            all_rows.append(rows)
            print(f"| {Path(picture).stem} | " + " | ".join(f"{p:.0%}, {own:.2f}, {off:+.2f}" for p, own, off in rows) + " |")
        means = [[sum(column) / len(all_rows) for column in zip(*level)] for level in zip(*all_rows)]
        print("| mean | " + " | ".join(f"{p:.0%}, {own:.2f}, {off:+.2f}" for p, own, off in means) + " |\n")
