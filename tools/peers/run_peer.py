#!/usr/bin/env python3
"""run_peer.py NAME FILE [--reps N] [--threads N]: measures one peer on one model file and prints one JSON line.

`mcodec bench models` runs this script, one process for each peer. Of a safetensors file, a peer that wants numbers is given the
bytes of all tensors of the commonest dtype, in file order, as one array; what is left of the file is the caller's to count. A peer
of files (lmz) is given the file.

What is measured, in one thread unless the peer is given more:
  encode_seconds, decode_seconds   median of N calls after one that does not count; one call slower than SLOW seconds counts alone
  decode_seconds                   into memory that earlier calls used: the caller's own buffer where the peer takes one, else by an
                                   allocator that keeps what is freed (the environment that mcodec sets)
  decode_new_seconds               into memory that the system hands out anew, page by page
  *_peak_bytes                     what the process grew by, above the libraries and the input, while it encoded or decoded
"""
import argparse
import ctypes
import gc
import importlib.metadata
import json
import os
import shutil
import statistics
import struct
import tempfile
import time

SLOW = 4.0  # a call slower than this is not repeated
BUDGET = 20.0  # seconds after which no repetition is started
PIECE = 1 << 24  # bytes given at once to the peers that divide nothing themselves
WIDTHS = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}


class NotApplicable(Exception):
    """The peer has nothing to do with such a file."""


class Input:
    """A file, and in it what the peers of numbers are given; and the threads that they may use."""

    def __init__(self, path, threads=1):
        self.path, self.threads = path, threads
        with open(path, "rb") as file:
            whole = file.read()
        self.dtype, self.width, self.payload = "", 1, whole
        spans = safetensors_spans(whole)
        if spans:
            self.dtype = commonest(spans)
            self.width = WIDTHS.get(self.dtype, 1)
            self.payload = b"".join(whole[a:b] for dtype, a, b in spans if dtype == self.dtype)

    def array(self, typed=True):
        """The numbers, as an array of unsigned integers or of floats."""
        import numpy as np

        if self.width == 1:
            raise NotApplicable("elements of one byte")
        kinds = {"F16": np.float16, "F32": np.float32, "F64": np.float64} if typed else {}
        return np.frombuffer(self.payload, dtype=kinds.get(self.dtype, f"u{self.width}"))


def safetensors_spans(whole):
    """(dtype, begin, end) of every tensor in file order; nothing if it is not a safetensors file."""
    if len(whole) < 10:
        return []
    (length,) = struct.unpack("<Q", whole[:8])
    if length > len(whole) - 8 or whole[8:9] != b"{":
        return []
    try:
        header = json.loads(whole[8 : 8 + length])
        spans = [(t["dtype"], *t["data_offsets"]) for name, t in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError):
        return []
    return sorted(((d, 8 + length + a, 8 + length + b) for d, a, b in spans if a < b), key=lambda s: s[1])


def commonest(spans):
    """The dtype of most bytes; of equals, the first by name."""
    sums = {}
    for dtype, a, b in spans:
        sums[dtype] = sums.get(dtype, 0) + b - a
    return min(sums, key=lambda dtype: (-sums[dtype], dtype))


class Peer:
    """One way to code an input. `encode` takes what `prepare` made, `decode` and `size` take what `encode` made."""

    package = ""
    in_files = False

    def __init__(self, data):
        self.data = data

    def prepare(self):
        """Makes what a call of `encode` uses up; not timed."""
        return None

    def encode(self, prepared):
        raise NotImplementedError

    def size(self, coded):
        return len(coded)

    def buffer(self):
        """Where `decode` may put its output, or None if the peer takes no buffer."""
        return None

    def decode(self, coded, out):
        """Decodes into `out`, or into new memory if it is None. Returns the bytes, or pieces of them."""
        raise NotImplementedError

    def matches(self, decoded):
        """Whether the bytes are those that were coded."""
        import numpy as np

        pieces = decoded if isinstance(decoded, list) else [decoded]
        flat = [np.frombuffer(memoryview(p).cast("B"), np.uint8) for p in pieces]
        return np.array_equal(np.concatenate(flat), np.frombuffer(self.data.payload, np.uint8))

    def input_bytes(self):
        return len(self.data.payload)


class ZipNN(Peer):
    """ZipNN as its README uses it on bytes. It changes its input, hence the copy."""

    package = "zipnn"
    names = {
        "BF16": "bfloat16",
        "F16": "float16",
        "F32": "float32",
        "F8_E4M3": "float8_e4m3fn",
        "F8_E5M2": "float8_e5m2",
    }

    def __init__(self, data):
        super().__init__(data)
        if data.dtype not in self.names:
            raise NotApplicable(f"no floats that it knows ({data.dtype or 'unknown format'})")
        import zipnn

        self.coder = zipnn.ZipNN(input_format="byte", bytearray_dtype=self.names[data.dtype], threads=data.threads)

    def prepare(self):
        return bytearray(self.data.payload)

    def encode(self, prepared):
        return self.coder.compress(prepared)

    def decode(self, coded, out):
        return self.coder.decompress(coded)


class Pcodec(Peer):
    """pcodec, standalone form. bf16 is given as 16-bit integers: it has no such type."""

    package = "pcodec"
    level = None

    def __init__(self, data):
        super().__init__(data)
        self.numbers = data.array()
        from pcodec import ChunkConfig, standalone

        self.api = standalone
        self.config = ChunkConfig() if self.level is None else ChunkConfig(compression_level=self.level)

    def encode(self, prepared):
        return self.api.simple_compress(self.numbers, self.config)

    def buffer(self):
        import numpy as np

        return np.ones_like(self.numbers)

    def decode(self, coded, out):
        if out is None:
            return self.api.simple_decompress(coded).view("u1")
        self.api.simple_decompress_into(coded, out)
        return out.view("u1")


class PcodecMax(Pcodec):
    """pcodec at its densest."""

    level = 12


class Blosc2(Peer):
    """blosc2 over chunks of 16 MiB."""

    package = "blosc2"
    transform, level = "SHUFFLE", 5

    def __init__(self, data):
        super().__init__(data)
        if data.width == 1:
            raise NotApplicable("elements of one byte")
        import blosc2

        self.api = blosc2
        blosc2.set_nthreads(data.threads)
        self.options = {
            "typesize": data.width,
            "clevel": self.level,
            "codec": blosc2.Codec.ZSTD,
            "filters": [getattr(blosc2.Filter, self.transform)],
            "nthreads": data.threads,
        }

    def encode(self, prepared):
        payload = self.data.payload
        starts = range(0, len(payload), PIECE)
        return [self.api.compress2(payload[i : i + PIECE], **self.options) for i in starts]

    def size(self, coded):
        return sum(map(len, coded))

    def buffer(self):
        import numpy as np

        return np.ones(len(self.data.payload), np.uint8)

    def decode(self, coded, out):
        if out is None:
            return [self.api.decompress2(piece, nthreads=self.data.threads) for piece in coded]
        for i, piece in enumerate(coded):
            self.api.decompress2(piece, dst=out[i * PIECE : (i + 1) * PIECE], nthreads=self.data.threads)
        return out


class Blosc2Zstd9(Blosc2):
    level = 9


class Blosc2Bits(Blosc2):
    transform = "BITSHUFFLE"


class OpenZLFloat(Peer):
    """OpenZL's graph for floats over pieces of 16 MiB: split into sign and fraction (generic) and exponent (entropy)."""

    package = "openzl"
    nodes = {"BF16": "BFloat16Deconstruct", "F16": "Float16Deconstruct", "F32": "Float32Deconstruct"}

    def __init__(self, data):
        super().__init__(data)
        if data.dtype not in self.nodes:
            raise NotApplicable(f"no floats that it knows ({data.dtype or 'unknown format'})")
        import openzl.ext as zl

        self.api, self.numbers = zl, data.array(typed=False)
        self.compressor = zl.Compressor()
        self.compressor.set_parameter(zl.CParam.FormatVersion, zl.MAX_FORMAT_VERSION)
        entropy, rest = zl.graphs.Entropy()(self.compressor), zl.graphs.Compress()(self.compressor)
        split = getattr(zl.nodes, self.nodes[data.dtype])()
        self.compressor.select_starting_graph(split(self.compressor, rest, entropy))

    def encode(self, prepared):
        zl, out, piece = self.api, [], PIECE // self.data.width
        for i in range(0, len(self.numbers), piece):
            context = zl.CCtx()
            context.ref_compressor(self.compressor)
            context.set_parameter(zl.CParam.FormatVersion, zl.MAX_FORMAT_VERSION)
            out.append(context.compress([zl.Input(zl.Type.Numeric, self.numbers[i : i + piece])]))
        return out

    def size(self, coded):
        return sum(map(len, coded))

    def decode(self, coded, out):
        context = self.api.DCtx()
        return [context.decompress(piece)[0].content.as_nparray() for piece in coded]


class Lmz(Peer):
    """lmz, from file to file in the temporary folder."""

    package = "lmzip"
    in_files = True
    mapped = False

    def __init__(self, data):
        super().__init__(data)
        import lmz

        self.api = lmz
        self.folder = tempfile.mkdtemp()
        self.source = os.path.join(self.folder, os.path.basename(data.path))
        self.coded, self.back = os.path.join(self.folder, "coded.lmz"), os.path.join(self.folder, "back")
        shutil.copy(data.path, self.source)
        data.payload = b""

    def prepare(self):
        if os.path.exists(self.coded):
            os.remove(self.coded)

    def encode(self, prepared):
        self.api.compress(self.source, self.coded, workers=self.data.threads, mapped=self.mapped)
        return self.coded

    def size(self, coded):
        return os.path.getsize(coded)

    def decode(self, coded, out):
        self.api.decompress(coded, self.back, workers=self.data.threads, overwrite=True)

    def matches(self, decoded):
        with open(self.back, "rb") as back, open(self.source, "rb") as source:
            same = back.read() == source.read()
        shutil.rmtree(self.folder, ignore_errors=True)
        return same

    def input_bytes(self):
        return os.path.getsize(self.data.path)


class LmzMapped(Lmz):
    """lmz in the form that can be read at random."""

    mapped = True


PEERS = {
    "zipnn": ZipNN,
    "pcodec": Pcodec,
    "pcodec-12": PcodecMax,
    "blosc2-shuffle-zstd5": Blosc2,
    "blosc2-shuffle-zstd9": Blosc2Zstd9,
    "blosc2-bitshuffle-zstd5": Blosc2Bits,
    "openzl-float": OpenZLFloat,
    "lmz": Lmz,
    "lmz-mapped": LmzMapped,
}


def give_back():
    """Gives freed memory back to the system, where the C library can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def reset_peak():
    """Sets the process's peak to what it holds now; returns that, in bytes."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass  # The peak then counts from the start of the process.
    return peak()


def peak():
    """The most that the process held."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return None


def timed(reps, prepare, call):
    """What the last call returned, the median of the times, and how many they were."""
    times, result, started = [], None, time.perf_counter()
    for i in range(reps + 1):
        result = None
        prepared = prepare()
        before = time.perf_counter()
        result = call(prepared)
        after = time.perf_counter()
        times.append(after - before)
        if i == 0 and times[0] > SLOW or after - started > BUDGET:
            break
    if len(times) > 1:
        times = times[1:]
    return result, statistics.median(times), len(times)


def measure(peer, reps):
    """Encodes, decodes into reused and into new memory, and compares."""
    gc.disable()
    give_back()
    base = reset_peak()
    coded, encode_seconds, encode_reps = timed(reps, peer.prepare, peer.encode)
    encode_peak = peak()
    give_back()
    reset_peak()
    out = peer.buffer()
    decoded, decode_seconds, decode_reps = timed(reps, lambda: None, lambda _: peer.decode(coded, out))
    decode_peak, output_bytes = peak(), peer.size(coded)
    exact, new_seconds = peer.matches(decoded), None
    decoded = out = None
    if not peer.in_files:
        decoded, new_seconds, _ = timed(reps, give_back, lambda _: peer.decode(coded, None))
        exact = exact and peer.matches(decoded)
    above = lambda value: None if value is None else value - base
    return {
        "status": "measured",
        "version": importlib.metadata.version(peer.package),
        "input_bytes": peer.input_bytes(),
        "output_bytes": output_bytes,
        "encode_seconds": encode_seconds,
        "decode_seconds": decode_seconds,
        "decode_new_seconds": new_seconds,
        "encode_reps": encode_reps,
        "decode_reps": decode_reps,
        "encode_peak_bytes": above(encode_peak),
        "decode_peak_bytes": above(decode_peak),
        "exact": bool(exact),
    }


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("name", choices=PEERS)
    arguments.add_argument("file")
    arguments.add_argument("--reps", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=1)
    given = arguments.parse_args()
    try:
        result = measure(PEERS[given.name](Input(given.file, given.threads)), given.reps)
    except ModuleNotFoundError as e:
        result = {"status": "not_installed", "reason": f"no Python module {e.name}"}
    except NotApplicable as e:
        result = {"status": "not_applicable", "reason": str(e)}
    except Exception as e:  # Whatever a peer does must not end the others' run.
        result = {"status": "failed", "reason": f"{type(e).__name__}: {e}"[:200]}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
