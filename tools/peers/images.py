"""Rate and distortion of mcodec beside other picture codecs: run by `mcodec bench images`.

usage: images.py MCODEC RATES SVG EFFORT PICTURE...
RATES are bits per pixel, divided by commas; SVG is a path or empty. Prints a table in Markdown: at each rate, PSNR over RGB in dB and MS-SSIM of
the luma, means over the pictures. mcodec is asked for each rate (whole files, one layer). Peers are run at several qualities, each with one
thread, and PSNR is interpolated between them, linear in the logarithm of the rate; a peer that does not reach a rate on a picture is left out of
that column. Pictures with alpha are shown over black.
"""
import io, math, os, subprocess, sys, tempfile
import numpy as np
from PIL import Image
try:
    import imagecodecs as ic
except ImportError:
    ic = None

MCODEC, RATES, SVG, EFFORT, *PICTURES = sys.argv[1:]
RATES = [float(rate) for rate in RATES.split(',')]


def load(path):
    image = Image.open(path)
    if image.mode in ('RGBA', 'LA', 'P'):
        image = image.convert('RGBA')
        image = Image.alpha_composite(Image.new('RGBA', image.size, (0, 0, 0, 255)), image)
    return np.ascontiguousarray(np.asarray(image.convert('RGB')))


def psnr(a, b):
    return 10 * math.log10(255 ** 2 / max(1e-9, np.mean((a.astype(np.float64) - b) ** 2)))


def blur(plane):
    x = np.arange(-5, 6)
    kernel = np.exp(-x ** 2 / 4.5)
    kernel /= kernel.sum()
    for axis in (0, 1):
        padded = np.pad(plane, [(5, 5) if i == axis else (0, 0) for i in (0, 1)], mode='symmetric')
        plane = sum(w * np.take(padded, range(i, i + plane.shape[axis]), axis) for i, w in enumerate(kernel))
    return plane


def ms_ssim(a, b):
    luma = lambda p: p[..., 0] * .299 + p[..., 1] * .587 + p[..., 2] * .114
    a, b, product = luma(a.astype(np.float64)), luma(b.astype(np.float64)), 1.0
    for scale, weight in enumerate([.0448, .2856, .3001, .2363, .1333]):
        ma, mb = blur(a), blur(b)
        va, vb, vab = blur(a * a) - ma * ma, blur(b * b) - mb * mb, blur(a * b) - ma * mb
        cs = (2 * vab + 58.5225) / (va + vb + 58.5225)
        value = np.mean(cs * (2 * ma * mb + 6.5025) / (ma * ma + mb * mb + 6.5025)) if scale == 4 else np.mean(cs)
        product *= max(value, 1e-6) ** weight
        half = lambda p: p[:p.shape[0] // 2 * 2, :p.shape[1] // 2 * 2].reshape(p.shape[0] // 2, 2, p.shape[1] // 2, 2).mean((1, 3))
        a, b = half(a), half(b)
    return product


def pillow(form, **options):
    def run(picture, quality):
        out = io.BytesIO()
        Image.fromarray(picture).save(out, form, quality=quality, **options)
        return out.getvalue(), np.asarray(Image.open(out).convert('RGB'))
    return run


def avif(speed):
    def run(picture, quality):
        data = ic.avif_encode(picture, level=quality, speed=speed, pixelformat='444', numthreads=1)
        return data, ic.avif_decode(data)[..., :3]
    return run


def jxl(picture, distance):
    data = ic.jpegxl_encode(picture, distance=distance, effort=7, numthreads=1)
    return data, ic.jpegxl_decode(data)[..., :3]


PEERS = {
    'JPEG': (pillow('JPEG', optimize=True, progressive=True), [2, 5, 10, 18, 30, 50, 70, 85]),
    'WebP m6': (pillow('WEBP', method=6), [0, 5, 12, 25, 45, 65, 80, 90]),
}
if ic is not None:
    PEERS['JPEG XL e7'] = (jxl, [15, 12, 9, 6.5, 4.5, 3, 2, 1])
    PEERS['AVIF s3'] = (avif(3), [10, 16, 24, 32, 42, 52, 64, 76])


def interpolated(points, rate):
    points = sorted(points)
    for (r0, *v0), (r1, *v1) in zip(points, points[1:]):
        if r0 <= rate <= r1:
            t = (math.log2(rate) - math.log2(r0)) / max(1e-9, math.log2(r1) - math.log2(r0))
            return [a + t * (b - a) for a, b in zip(v0, v1)]
    return None


def mcodec(path, picture, rate, folder):
    coded, back = os.path.join(folder, 'p.mcodec'), os.path.join(folder, 'p.png')
    subprocess.run([MCODEC, 'encode', path, '-o', coded, '-f', '--quiet', '--as', 'image', '--bpp', str(rate), '--levels', '1', '-e', EFFORT], check=True)
    subprocess.run([MCODEC, 'decode', coded, '-o', back, '-f', '--quiet'], check=True)
    bits = os.path.getsize(coded) * 8 / (picture.shape[0] * picture.shape[1])
    decoded = load(back)
    return bits, psnr(picture, decoded), ms_ssim(picture, decoded)


def main():
    found = {}  # codec -> rate -> list of (psnr, ms_ssim)
    with tempfile.TemporaryDirectory() as folder:
        for path in PICTURES:
            picture = load(path)
            for name, (run, qualities) in PEERS.items():
                points = []
                for quality in qualities:
                    data, decoded = run(picture, quality)
                    points.append((len(data) * 8 / (picture.shape[0] * picture.shape[1]), psnr(picture, decoded), ms_ssim(picture, decoded)))
                    if points[-1][0] > 1.5 * max(RATES):
                        break
                for rate in RATES:
                    found.setdefault(name, {}).setdefault(rate, []).append(interpolated(points, rate))
            for rate in RATES:
                bits, *values = mcodec(path, picture, rate, folder)
                if bits > rate:
                    sys.exit(f'{path}: {bits} bits per pixel are more than {rate}')
                found.setdefault(f'mcodec -e{EFFORT}', {}).setdefault(rate, []).append(values)
            print(f'{os.path.basename(path)} done', file=sys.stderr, flush=True)
    print(f'{len(PICTURES)} pictures: PSNR in dB (MS-SSIM), means')
    print('| | ' + ' | '.join(f'{rate:g} bpp' for rate in RATES) + ' |')
    print('|---|' + '---|' * len(RATES))
    curves = {}
    for name, rates in found.items():
        cells = []
        for rate in RATES:
            values = rates[rate]
            if any(v is None for v in values):
                cells.append('')
                continue
            mean = np.mean(np.array(values), axis=0)
            curves.setdefault(name, []).append((rate, mean[0]))
            cells.append(f'{mean[0]:.2f} ({mean[1]:.4f})')
        print(f'| {name} | ' + ' | '.join(cells) + ' |')
    if SVG:
        plot(curves)


def plot(curves):
    points = [p for curve in curves.values() for p in curve]
    x0, x1 = math.log2(min(r for r, _ in points)) - .2, math.log2(max(r for r, _ in points)) + .2
    y0, y1 = math.floor(min(v for _, v in points)), math.ceil(max(v for _, v in points))
    at = lambda r, v: (60 + 520 * (math.log2(r) - x0) / (x1 - x0), 340 - 310 * (v - y0) / (y1 - y0))
    colours = ['#888888', '#2a9d8f', '#e9a23b', '#457b9d', '#d62828', '#6a4c93']
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
