"""Latents and tokens: mcodec beside general compressors. Run by `mcodec bench latents`.

usage: latents.py FOUND SVG REPS
FOUND is a JSON file with what mcodec made of each set of arrays; SVG is a path or empty. Prints tables in Markdown, one for each set: bits for a
value or token (everything counted, all clips of a set in one file or call), and speeds with one thread: megabytes of elements (tokens: thousands of
tokens) in a second, median of REPS calls after one that does not count, if a call takes less than 4 s. Peers are given the bytes of all clips, one after
another; rows called "by place" those of tokens with time innermost. Rows with a step are rounded: peers are given the steps' indices.
"""
import importlib.metadata, json, lzma, os, shutil, statistics, subprocess, sys, tempfile, time
import numpy as np

FOUND, SVG, REPS = sys.argv[1], sys.argv[2], int(sys.argv[3])
MISSING = []


def optional(module, package):
    try:
        return __import__(module), f'{package} {importlib.metadata.version(package)}'
    except ImportError:
        MISSING.append(package)
        return None, package


zstandard, ZSTD = optional('zstandard', 'zstandard')
blosc2, BLOSC = optional('blosc2', 'blosc2')
zipnn, ZIPNN = optional('zipnn', 'zipnn')
if not shutil.which('zpaq'):
    MISSING.append('zpaq')


def timed(call):
    start = time.perf_counter()
    value = call()
    first, times = time.perf_counter() - start, []
    while first < 4 and len(times) < REPS:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return value, statistics.median(times or [first])


def blosc(data, width):
    options = dict(typesize=width, clevel=9, filter=blosc2.Filter.SHUFFLE, codec=blosc2.Codec.ZSTD)
    return blosc2.compress(data, **options)


def zpaq(data):
    with tempfile.TemporaryDirectory() as folder:
        archive, plain = os.path.join(folder, 'a.zpaq'), os.path.join(folder, 'data')
        with open(plain, 'wb') as file:
            file.write(data)
        run = lambda *a: subprocess.run(['zpaq', *a, '-t1'], cwd=folder, check=True, capture_output=True)
        start = time.perf_counter()
        run('add', 'a.zpaq', 'data', '-m5')
        middle = time.perf_counter()
        run('extract', 'a.zpaq', 'data', '-to', 'back')
        end = time.perf_counter()
        with open(os.path.join(folder, 'back'), 'rb') as file:
            assert file.read() == data
        return os.path.getsize(archive), middle - start, end - middle


def peers(data, width, dtype):
    """(name, bytes, seconds to encode, seconds to decode) of each peer."""
    if zstandard:
        coded, seconds = timed(lambda: zstandard.ZstdCompressor(level=19).compress(data))
        back, decode = timed(lambda: zstandard.ZstdDecompressor().decompress(coded))
        assert back == data
        yield f'zstd-19 ({ZSTD})', len(coded), seconds, decode
    coded, seconds = timed(lambda: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
    back, decode = timed(lambda: lzma.decompress(coded))
    assert back == data
    yield 'xz -9e', len(coded), seconds, decode
    if blosc2:
        blosc2.set_nthreads(1)
        coded, seconds = timed(lambda: blosc(data, width))
        back, decode = timed(lambda: blosc2.decompress(coded))
        assert back == data
        yield f'shuffle + zstd-9 ({BLOSC})', len(coded), seconds, decode
    if zipnn and dtype in ('bf16', 'f16', 'f32'):
        name = {'bf16': 'bfloat16', 'f16': 'float16', 'f32': 'float32'}[dtype]
        coder = zipnn.ZipNN(input_format='byte', bytearray_dtype=name, threads=1)
        # It changes its input.
        coded, seconds = timed(lambda: coder.compress(bytearray(data)))
        back, decode = timed(lambda: coder.decompress(coded))
        assert bytes(back) == data
        yield f'zipnn ({ZIPNN})', len(coded), seconds, decode
    if shutil.which('zpaq'):
        yield ('zpaq -m5', *zpaq(data))


def as_floats(array, kind):
    return (array.astype(np.uint32) << 16).view(np.float32) if kind == 'bf16' else array.astype(np.float32)


def indices(arrays, kind, step):
    """Steps of each channel's deviation, over all clips: of arrays T, C, H, W."""
    floats = [as_floats(a, kind) for a in arrays]
    channels = np.concatenate([np.moveaxis(f, 1, 0).reshape(f.shape[1], -1) for f in floats], axis=1).astype(np.float64)
    mean, deviation = channels.mean(1), channels.std(1)
    shape = (1, -1, 1, 1)
    return [np.rint((f - mean.reshape(shape)) / (step * deviation.reshape(shape))) for f in floats]


def table(found):
    """Rows of one set; (name, bits, decode speed) of what is lossless, for the plot."""
    arrays = [np.load(path) for path in found['files']]
    is_tokens = found['kind'] in ('fsq', 'vq')
    unit = 'ktok/s' if is_tokens else 'MB/s'
    amount = found['count'] / 1e3 if is_tokens else found['bytes'] / 1e6
    speed = lambda seconds: f'{amount / max(seconds, 1e-9):.3g}' if seconds is not None else ''
    bits = lambda size: size * 8 / found['count']
    rows, points = [], []

    def add(name, size, encode, decode, step=None, quality=''):
        rows.append((step or 0, f'| {name} | {bits(size):.3f} | {speed(encode)} | {speed(decode)} | {quality} |'))
        if step is None and decode is not None:
            points.append((name, bits(size), amount / max(decode, 1e-9)))

    for row in found['rows']:
        name = f"mcodec -e{row['effort']} --group {row['group']}" + (f" --step {row['step']:g}" if row['step'] else '')
        quality = f"{row['snr']:.2f}, {row['psnr']:.2f}" if row['snr'] is not None else ''
        add(name, row['file_bytes'], row['encode_seconds'], row['decode_seconds'], row['step'], quality)
    data = b''.join(a.tobytes() for a in arrays)
    for peer in peers(data, arrays[0].dtype.itemsize, found['kind']):
        add(*peer)
    if found['kind'] == 'vq':
        packed = np.ceil(np.log2(max(int(a.max()) for a in arrays) + 1))
        add(f'packed, {packed:.0f} bits', found['count'] * packed / 8, None, None)
        by_place = b''.join(np.ascontiguousarray(np.moveaxis(a, 0, -1)).tobytes() for a in arrays)
        for name, *rest in peers(by_place, arrays[0].dtype.itemsize, ''):
            add(name + ', by place', *rest)
    for step in sorted({row['step'] for row in found['rows'] if row['step']}):
        whole = np.concatenate([i.ravel() for i in indices(arrays, found['kind'], step)])
        narrow = whole.astype(np.int8 if abs(whole).max() < 128 else np.int16)
        for name, *rest in peers(narrow.tobytes(), narrow.itemsize, ''):
            add(f'{name}, indices of step {step:g}', *rest, step)
    rows.sort(key=lambda row: row[0])
    head = f"{found['name']}: {len(arrays)} clip{'' if len(arrays) == 1 else 's'}, {found['count']} {'tokens' if is_tokens else 'values'} of {found['kind']}"
    print(f"\n{head}\n| | bits | encode {unit} | decode {unit} | SNR, PSNR dB |\n|---|---|---|---|---|")
    print('\n'.join(row for _, row in rows), flush=True)
    return head, unit, points


def plot(sets):
    """Bits against decode speed, a panel for each set."""
    colours = ['#d62828', '#457b9d', '#2a9d8f', '#e9a23b', '#6a4c93', '#888888']
    out, height = [], 260
    for n, (head, unit, points) in enumerate(sets):
        top = n * height
        xs = [np.log10(max(p[2], 1e-6)) for p in points]
        x0, x1 = np.floor(min(xs)), np.ceil(max(xs) + 1e-9)
        y0, y1 = 0, max(p[1] for p in points) * 1.08
        at = lambda bits, speed: (60 + 430 * (np.log10(max(speed, 1e-6)) - x0) / (x1 - x0), top + 220 - 180 * (bits - y0) / (y1 - y0))
        out.append(f'<text x="60" y="{top + 24}" font-weight="bold">{head}</text>')
        out.append(f'<rect x="60" y="{top + 40}" width="430" height="180" fill="none" stroke="#bbbbbb"/>')
        for power in range(int(x0), int(x1) + 1):
            x, _ = at(0, 10.0 ** power)
            out.append(f'<text x="{x:.1f}" y="{top + 236}" text-anchor="middle">{10.0 ** power:g}</text>')
        for k in range(5):
            value = y1 * k / 4
            out.append(f'<text x="54" y="{at(value, 1)[1] + 4:.1f}" text-anchor="end">{value:.1f}</text>')
        out.append(f'<text x="275" y="{top + 252}" text-anchor="middle">decode {unit} (bits upwards)</text>')
        for k, (name, bits, speed) in enumerate(points):
            colour = colours[0] if name.startswith('mcodec') else colours[1 + k % 5]
            x, y = at(bits, speed)
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/><text x="{x + 6:.1f}" y="{y + 3:.1f}" font-size="9" fill="{colour}">{k + 1}</text>')
            out.append(f'<text x="505" y="{top + 48 + 13 * k}" font-size="10" fill="{colour}">{k + 1} {name}</text>')
    with open(SVG, 'w') as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="{height * len(sets) + 10}" font-family="sans-serif" font-size="11">'
                   f'<rect width="100%" height="100%" fill="white"/>' + '\n'.join(out) + '</svg>\n')


def main():
    with open(FOUND) as file:
        found = json.load(file)
    sets = [table(one) for one in found]
    if MISSING:
        print(f"\nnot run, because not installed: {', '.join(MISSING)}")
    if SVG:
        plot(sets)


main()
