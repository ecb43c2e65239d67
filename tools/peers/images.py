"""Rate and distortion of mcodec beside other picture codecs: run by `mcodec bench images`.

usage: images.py MCODEC RATES SVG EFFORT RESULTS PICTURE...
RATES are bits per pixel, divided by commas; SVG and RESULTS are paths or empty. Prints a table in Markdown for each folder of pictures, and one for all:
at each rate, PSNR over RGB in dB, and MS-SSIM of the luma, means over the pictures. mcodec is asked for each rate (whole files, one layer). Peers run
with one thread at qualities that come closer to each rate until two are within 12% of each other, and PSNR is interpolated between them, linear in the
logarithm of the rate. A peer that does not reach a rate on a picture is left out of the mean there, and the table says how many pictures it stands for
and by how much mcodec is ahead on those. Of pictures with alpha the worse of black and white behind them counts; peers are given them without alpha, in front of the one and of the other, and
so need not code it, as mcodec and textures do. Formats of textures are scaled down until they have the rate: of ASTC and Basis Universal the best of several modes counts, at the
fastest BC7 of etcpak. What is measured is added to RESULTS, a line of JSON each, and found there by the next run: one that was
stopped goes on. Lines of mcodec hold for the very same program only.
"""
import hashlib, io, json, math, os, shutil, subprocess, sys, tempfile
import numpy as np
from PIL import Image
try:
    import imagecodecs as ic
except ImportError:
    ic = None
try:
    import etcpak
except ImportError:
    etcpak = None

MCODEC, RATES, SVG, EFFORT, RESULTS, *PICTURES = sys.argv[1:]
RATES = [float(rate) for rate in RATES.split(',')]
OURS = f'mcodec -e{EFFORT}'


def load(path):
    """The picture as RGB, or as RGBA with colours that are black where nothing is to be seen."""
    image = Image.open(path)
    if image.mode in ('RGBA', 'LA', 'P', 'PA') and image.convert('RGBA').getextrema()[3][0] < 255:
        picture = np.array(image.convert('RGBA'))
        picture[picture[..., 3] == 0] = 0
        return picture
    return np.ascontiguousarray(np.asarray(image.convert('RGB')))


def over(picture, level):
    """A picture as it looks before grey of this level."""
    if picture.shape[2] == 3:
        return picture.astype(np.float64)
    alpha = picture[..., 3:].astype(np.float64) / 255
    return np.round(picture[..., :3] * alpha + level * (1 - alpha))


def score(picture, decoded):
    """The worse PSNR and MS-SSIM of those over black and white."""
    if picture.shape[2] == 4 and decoded.shape[2] == 3:
        decoded = np.dstack([decoded, np.full(decoded.shape[:2], 255, np.uint8)])
    levels = (0, 255) if picture.shape[2] == 4 else (0,)
    pairs = [(over(picture, level), over(decoded, level)) for level in levels]
    return min(psnr(a, b) for a, b in pairs), min(ms_ssim(a, b) for a, b in pairs)


def psnr(a, b):
    return 10 * math.log10(255 ** 2 / max(1e-9, np.mean((a - b) ** 2)))


def blur(plane):
    x = np.arange(-5, 6)
    kernel = np.exp(-x ** 2 / 4.5)
    kernel /= kernel.sum()
    for axis in (0, 1):
        size = plane.shape[axis]
        padded = np.pad(plane, [(5, 5) if i == axis else (0, 0) for i in (0, 1)], mode='symmetric')
        plane = sum(w * (padded[i:i + size] if axis == 0 else padded[:, i:i + size]) for i, w in enumerate(kernel))
    return plane


def ms_ssim(a, b):
    luma = lambda p: p[..., 0] * .299 + p[..., 1] * .587 + p[..., 2] * .114
    a, b, product = luma(a), luma(b), 1.0
    for scale, weight in enumerate([.0448, .2856, .3001, .2363, .1333]):
        ma, mb = blur(a), blur(b)
        va, vb, vab = blur(a * a) - ma * ma, blur(b * b) - mb * mb, blur(a * b) - ma * mb
        cs = (2 * vab + 58.5225) / (va + vb + 58.5225)
        value = np.mean(cs * (2 * ma * mb + 6.5025) / (ma * ma + mb * mb + 6.5025)) if scale == 4 else np.mean(cs)
        product *= max(value, 1e-6) ** weight
        half = lambda p: p[:p.shape[0] // 2 * 2, :p.shape[1] // 2 * 2].reshape(p.shape[0] // 2, 2, p.shape[1] // 2, 2).mean((1, 3))
        a, b = half(a), half(b)
    return product


# ------------------------------------------------------------------------------------------------------------------------------------ peers


def jpeg(picture, quality):
    out = io.BytesIO()
    Image.fromarray(picture).save(out, 'JPEG', quality=quality, optimize=True, progressive=True)
    return out.getvalue(), np.asarray(Image.open(out).convert('RGB'))


def webp(picture, quality):
    out = io.BytesIO()
    Image.fromarray(picture).save(out, 'WEBP', quality=quality, method=6)
    return out.getvalue(), np.asarray(Image.open(out).convert('RGB'))


def avif(picture, quality):
    data = ic.avif_encode(picture, level=quality, speed=3, pixelformat='444', numthreads=1)
    return data, ic.avif_decode(data)[..., :3]


def jxl(picture, quality):
    # Distances from 25 down to 0.3, a step of quality 5% less.
    data = ic.jpegxl_encode(picture, distance=25 * .956 ** quality, effort=7, numthreads=1)
    return data, ic.jpegxl_decode(data)[..., :3]


PEERS = {'JPEG': jpeg, 'WebP m6': webp}
ABSENT = []
if ic is not None:
    PEERS |= {'JPEG XL e7': jxl, 'AVIF s3 4:4:4': avif}
else:
    ABSENT += ['JPEG XL and AVIF (no imagecodecs)']
ASTCENC = next(filter(None, map(shutil.which, ['astcenc-avx2', 'astcenc', 'astcenc-sse4.1', 'astcenc-native'])), None)
BASISU = shutil.which('basisu')


def sweep(run, picture):
    """(bits per pixel, PSNR, MS-SSIM) of as many qualities as the rates need."""
    pixels, made, scores = picture.shape[0] * picture.shape[1], {}, {}

    def bits(quality):
        if quality not in made:
            made[quality] = run(picture, quality)
        return len(made[quality][0]) * 8 / pixels

    for rate in RATES:
        low, high = (1, 100)
        if not bits(low) <= rate <= bits(high):
            continue
        while high - low > 1 and bits(high) > 1.12 * bits(low):
            middle = (low + high) // 2
            low, high = (middle, high) if bits(middle) <= rate else (low, middle)
        for quality in (low, high):
            if quality not in scores:
                scores[quality] = (bits(quality), *score(picture, made[quality][1]))
    return sorted(scores.values())


def scaled(picture, scale, block):
    """A picture at this scale, in whole blocks."""
    image = Image.fromarray(picture)
    size = [max(block, int(scale * side) // block * block) if scale < 1 else side for side in image.size]
    return image.resize(size, Image.LANCZOS)


def point(picture, texture, size):
    """(bits per pixel, PSNR, MS-SSIM) of a texture of so many bytes, drawn as large as the picture is."""
    height, width = picture.shape[:2]
    decoded = np.asarray(texture.convert('RGBA' if picture.shape[2] == 4 else 'RGB').resize((width, height), Image.BICUBIC))
    return (size * 8 / (width * height), *score(picture, decoded))


def best(points, rate):
    return max((point for point in points if point[0] <= 1.02 * rate), key=lambda point: point[1], default=None)


def quietly(*command):
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def astc(picture, rate, folder):
    """The best of three block sizes."""
    found, (source, coded, back) = [], (os.path.join(folder, name) for name in ('a.png', 'a.astc', 'b.png'))
    for block in (12, 8, 6):
        scaled(picture, math.sqrt(min(1, rate * block * block / 128)), block).save(source)
        quietly(ASTCENC, '-cl', source, coded, f'{block}x{block}', '-medium', '-j', '1')
        quietly(ASTCENC, '-dl', coded, back, '-j', '1')
        found.append(point(picture, Image.open(back), os.path.getsize(coded) - 16))
    return best(found, rate)


def bc7(picture, rate, _):
    image = scaled(picture, math.sqrt(min(1, rate / 8)), 4).convert('RGBA')
    width, height = (side + -side % 4 for side in image.size)
    whole = np.pad(np.asarray(image), ((0, height - image.height), (0, width - image.width), (0, 0)), mode='edge')
    params = etcpak.BC7CompressBlockParams()
    params.init_linear_weights()
    blocks = etcpak.compress_bc7(whole.tobytes(), width, height, params)
    decoded = np.asarray(ic.bcn_decode(blocks, ic.BCN.FORMAT.BC7, shape=(height, width, 4)))[:image.height, :image.width]
    return best([point(picture, Image.fromarray(np.ascontiguousarray(decoded)), len(blocks))], rate)


def basis(picture, rate, folder):
    """The best of ETC1S and XUASTC at several qualities, each at the scale at which the whole file has the rate."""
    found, (source, coded) = [], (os.path.join(folder, name) for name in ('a.png', 'a.ktx2'))
    for mode, quality, bits in (('-etc1s', 60, 1.4), ('-etc1s', 100, 2), ('-ldr_8x8i', 60, 1.2), ('-ldr_12x12i', 60, .7)):
        scale = math.sqrt(min(1, rate / bits))
        for _ in range(4):
            scaled(picture, scale, 4).save(source)
            quietly(BASISU, mode, '-quality', str(quality), '-ktx2', '-no_multithreading', source, '-output_file', coded)
            unpacked = os.path.join(folder, 'unpacked')
            shutil.rmtree(unpacked, ignore_errors=True)
            os.mkdir(unpacked)
            subprocess.run([BASISU, '-unpack', '-no_ktx', coded], cwd=unpacked, stdout=subprocess.DEVNULL, check=True)
            drawn = next(name for name in os.listdir(unpacked) if 'unpacked_rgba_RGBA32' in name)
            found.append(point(picture, Image.open(os.path.join(unpacked, drawn)), os.path.getsize(coded)))
            ratio = found[-1][0] / rate
            if .96 <= ratio <= 1.02 or scale == 1 and ratio < 1:
                break
            scale = min(1, scale / math.sqrt(1.01 * ratio))
    return best(found, rate)


SCALED = {}
for name, run, is_there, missing in (
    ('ASTC, scaled', astc, ASTCENC, 'astcenc'),
    ('BC7, scaled', bc7, etcpak and ic, 'etcpak and imagecodecs'),
    ('Basis Universal, scaled', basis, BASISU, 'basisu'),
):
    if is_there:
        SCALED[name] = run
    else:
        ABSENT.append(f'{name.split(",")[0]} (no {missing})')


def interpolated(points, rate):
    for (r0, *v0), (r1, *v1) in zip(points, points[1:]):
        if r0 <= rate <= r1:
            t = (math.log2(rate) - math.log2(r0)) / max(1e-9, math.log2(r1) - math.log2(r0))
            return [a + t * (b - a) for a, b in zip(v0, v1)]
    return None


def mcodec(path, picture, rate, folder):
    """(bits per pixel, PSNR, MS-SSIM, bits per Gaussian, everything counted)."""
    coded, back = os.path.join(folder, 'p.mcodec'), os.path.join(folder, 'p.png')
    subprocess.run([MCODEC, 'encode', path, '-o', coded, '-f', '--quiet', '--as', 'image', '--bpp', str(rate), '--levels', '1', '-e', EFFORT], check=True)
    subprocess.run([MCODEC, 'decode', coded, '-o', back, '-f', '--quiet'], check=True)
    told = subprocess.run([MCODEC, 'info', coded, '--ledger', '--json'], check=True, capture_output=True)
    levels = next(asset['image'] for asset in json.loads(told.stdout)['assets'])['levels']
    bits = os.path.getsize(coded) * 8
    bpp = bits / (picture.shape[0] * picture.shape[1])
    if bpp > rate:
        sys.exit(f'{path}: {bpp} bits per pixel are more than {rate}')
    return bpp, *score(picture, load(back)), bits / sum(level['gaussians'] for level in levels)


# ---------------------------------------------------------------------------------------------------------------------------------- results


class Results:
    """What was measured: by key, in a file that grows."""

    def __init__(self):
        self.known, self.file = {}, None
        with open(MCODEC, 'rb') as program:
            self.program = hashlib.file_digest(program, 'sha256').hexdigest()[:16]
        if RESULTS:
            if os.path.exists(RESULTS):
                with open(RESULTS) as lines:
                    for line in lines:
                        try:
                            key, value = json.loads(line)
                            self.known[json.dumps(key)] = value
                        except ValueError:
                            pass  # the line that was being written when the run was stopped
            self.file = open(RESULTS, 'a')

    def of(self, path, codec, what, measure):
        with open(path, 'rb') as picture:
            digest = hashlib.file_digest(picture, 'sha256').hexdigest()[:16]
        key = [digest, codec, what] + ([self.program] if codec == OURS else [])
        name = json.dumps(key)
        if name not in self.known:
            self.known[name] = measure()
            if self.file:
                print(json.dumps([key, self.known[name]]), file=self.file, flush=True)
        return self.known[name]


def measure(results, path, folder):
    """{codec: {rate: (PSNR, MS-SSIM, ...) or None}} of one picture."""
    picture, found = load(path), {}
    for rate in RATES:
        found.setdefault(OURS, {})[rate] = results.of(path, OURS, rate, lambda: mcodec(path, picture, rate, folder))[1:]
    for name, run in PEERS.items():
        levels = (0, 255) if picture.shape[2] == 4 else (0,)
        sweeps = results.of(path, name, RATES, lambda: [sweep(run, over(picture, level).astype(np.uint8)) for level in levels])
        for rate in RATES:
            values = [interpolated(points, rate) for points in sweeps]
            found.setdefault(name, {})[rate] = None if None in values else np.min(values, axis=0).tolist()
    for name, run in SCALED.items():
        for rate in RATES:
            one = results.of(path, name, rate, lambda: run(picture, rate, folder))
            found.setdefault(name, {})[rate] = one and one[1:]
    return found


def table(title, all_found):
    """Prints a table; gives the curves of means over all pictures."""
    print(f'\n{title}: {len(all_found)} pictures; PSNR in dB (MS-SSIM), means; of peers, how far mcodec is ahead on the same pictures')
    print('| | ' + ' | '.join(f'{rate:g} bpp' for rate in RATES) + ' |')
    print('|---|' + '---|' * len(RATES))
    curves = {}
    for name in all_found[0]:
        cells = []
        for rate in RATES:
            both = [(found[name][rate], found[OURS][rate]) for found in all_found if found[name][rate]]
            if not both:
                cells.append('')
                continue
            value, ours = (np.mean([one[which][:2] for one in both], axis=0) for which in (0, 1))
            cell = f'{value[0]:.2f} ({value[1]:.4f})'
            if name != OURS:
                few = f' on {len(both)}' if len(both) < len(all_found) else ''
                cell += f'; {ours[0] - value[0]:+.2f} ({ours[1] - value[1]:+.4f}){few}'
            else:
                cell += f'; {np.mean([one[2] for _, one in both]):.1f} bits per Gaussian'
            if len(both) == len(all_found):
                curves.setdefault(name, []).append((rate, value[0]))
            cells.append(cell)
        print(f'| {name} | ' + ' | '.join(cells) + ' |')
    return curves


def main():
    results, sets = Results(), {}
    with tempfile.TemporaryDirectory() as folder:
        for i, path in enumerate(PICTURES):
            sets.setdefault(os.path.basename(os.path.dirname(os.path.abspath(path))), []).append(measure(results, path, folder))
            print(f'{i + 1} of {len(PICTURES)}: {os.path.basename(path)}', file=sys.stderr, flush=True)
    for name, found in sets.items():
        curves = table(name, found)
    if len(sets) > 1:
        curves = table('all', [one for found in sets.values() for one in found])
    if ABSENT:
        print('\nnot run: ' + '; '.join(ABSENT))
    if SVG:
        plot(curves)


def plot(curves):
    points = [p for curve in curves.values() for p in curve]
    x0, x1 = math.log2(min(r for r, _ in points)) - .2, math.log2(max(r for r, _ in points)) + .2
    y0, y1 = math.floor(min(v for _, v in points)), math.ceil(max(v for _, v in points))
    at = lambda r, v: (60 + 520 * (math.log2(r) - x0) / (x1 - x0), 340 - 310 * (v - y0) / (y1 - y0))
    colours = ['#888888', '#2a9d8f', '#e9a23b', '#457b9d', '#d62828', '#6a4c93', '#bc6c25', '#588157']
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="760" height="390" font-family="sans-serif" font-size="12">',
           '<rect width="760" height="390" fill="white"/>']
    for v in range(y0, y1 + 1):
        y = at(points[0][0], v)[1]
        out.append(f'<line x1="60" x2="580" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/><text x="52" y="{y + 4:.1f}" text-anchor="end">{v}</text>')
    for rate in RATES:
        x = at(rate, y0)[0]
        out.append(f'<text x="{x:.1f}" y="358" text-anchor="middle">{rate:g}</text>')
    out.append('<text x="320" y="380" text-anchor="middle">bits per pixel</text><text x="14" y="20">PSNR, dB</text>')
    for i, (name, curve) in enumerate(curves.items()):
        colour = colours[i % len(colours)]
        path = ' '.join('%.1f,%.1f' % at(*p) for p in sorted(curve))
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += ['<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (*at(*p), colour) for p in curve]
        out.append(f'<text x="595" y="{40 + 18 * i}" fill="{colour}">{name}</text>')
    with open(SVG, 'w') as file:
        file.write('\n'.join(out + ['</svg>', '']))


main()
