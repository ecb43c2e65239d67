"""Tokens (coding 18) and their models, written from format-spec/SPEC.md section 7.11 alone; for independent_grids.py."""
import copy

from independent_grids import TRUST, Decisions, Dense, Frames, clip, log2, squash
from independent_values import Cursor, Unsupported, need

TOKEN_MODEL = 18  # entry kind
WORD = 0xFFFFFFFF
NEW = (1 << 15, 0)
MODELS = {}


def stretch(p):
    return log2(max(p, 1)) - log2(65536 - p)


class Scheme(Frames):
    """[7.11] What tokens are made of, and the size of what is decoded."""

    def __init__(self, cursor, tokens):
        need(1 <= tokens <= 4096, "tokens of a position")
        self.tokens, self.kind = tokens, cursor.uint(1)
        need(self.kind < 2, "kind of tokens", Unsupported)
        if self.kind == 1:
            self.vocabulary, flags, self.bits = cursor.varint(), cursor.uint(1), cursor.uint(1)
            need(2 <= self.vocabulary <= 65535 and flags < 4 and 10 <= self.bits <= 22, "codebook of tokens")
            self.whole, self.ordered, self.orders = bool(flags & 1), bool(flags & 2), []
            need(not self.ordered or tokens * self.vocabulary <= 1 << 20, "codebook of tokens")
            self.channels, self.most = tokens, [self.vocabulary]
            return
        self.levels, self.counts, self.most = [], [], []
        for _ in range(tokens):
            count = cursor.varint()
            need(count >= 1 and len(self.counts) + count <= 4096, "digits of tokens")
            self.levels.append([cursor.varint() for _ in range(count)])
            need(all(2 <= n <= 256 for n in self.levels[-1]), "levels of tokens")
            most = 1
            for n in self.levels[-1]:
                most *= n
            need(most < 1 << 64, "levels of tokens")
            self.most.append(most)
            self.counts += self.levels[-1]
        self.channels, self.unit = len(self.counts), cursor.uint(1)
        self.cursor = cursor

    def take_orders(self, decisions):
        if self.kind == 1 and self.ordered:
            self.orders = [read_order(decisions, self.vocabulary) for _ in range(self.tokens)]

    def coder(self):
        return Codes(self) if self.kind == 1 else Dense(self)

    def sized(self, frames, height, width):
        """The same, of other sizes."""
        other = copy.copy(self)
        other.frames, other.height, other.width = frames, height, width
        return other

    def bytes_of(self, numbers, size):
        """Tokens in the order frame, token, row, column."""
        need(all(most <= 1 << 8 * size for most in self.most), "levels of tokens that have no room")
        plane, out = self.height * self.width, [b""] * (self.frames * self.height * self.width * self.tokens)
        for place in range(self.frames * plane):
            t, p = divmod(place, plane)
            rest = iter(numbers[place * self.channels:][:self.channels])
            for k in range(self.tokens):
                if self.kind == 1:
                    code = next(rest)
                    token = self.orders[k][code] if self.orders else code
                else:
                    token, base = 0, 1
                    for level in self.levels[k]:
                        token, base = token + next(rest) * base, base * level
                out[(t * self.tokens + k) * plane + p] = token.to_bytes(size, "little")
        return b"".join(out)


def read_order(decisions, vocabulary):
    """[7.11.2] The token of each leaf."""
    depth = (vocabulary - 1).bit_length()
    nodes = [(0, list(range(vocabulary)))]
    for level in range(depth, 0, -1):
        half, below = 1 << level - 1, []
        for start, tokens in nodes:
            right = len(tokens) - half
            if right <= 0:
                below.append((start, tokens))
                continue
            first, sides = right == half, ([], [])
            for at, token in enumerate(tokens):
                left = len(tokens) - at
                if right == 0 or first:
                    is_right = False
                elif right == left:
                    is_right = True
                else:
                    is_right = decisions.bit((right << 16) // left)
                first, right = False, right - bool(is_right)
                sides[bool(is_right)].append(token)
            below += [(start, sides[0]), (start + half, sides[1])]
        nodes = below
    return [token for _, tokens in nodes for token in tokens]


class Mixer:
    def __init__(self, inputs, start, rate):
        self.sets, self.start, self.rate = {}, [start] * inputs, rate

    def mix(self, key, x):
        weights = self.sets.setdefault(key, list(self.start))
        return clip(sum((w >> 5) * v for w, v in zip(weights, x)) >> 11, 3071)

    def learn(self, key, x, y, bit):
        e = ((65536 if bit else 0) - squash(y)) * self.rate >> 4
        self.sets[key] = [clip(w + ((v * e + (1 << 13)) >> 14), 1 << 19) for w, v in zip(self.sets[key], x)]


class Codes:
    """[7.11.2]"""

    def __init__(self, scheme):
        self.grid, self.vocabulary, self.bits, self.whole = scheme, scheme.vocabulary, scheme.bits, scheme.whole
        self.depth = (scheme.vocabulary - 1).bit_length()
        self.counters, self.recent, self.again, self.points = {}, {}, {}, {}
        self.recent_bits = max(self.bits - 3, 8)
        self.mixers = [Mixer(24, 4000, 20) for _ in range(3)] + [Mixer(3, 21845, 2)] if self.whole else [Mixer(4, 21845, 12)]

    def decode(self):
        grid, self.codes, out = self.grid, {}, []
        for t in range(grid.frames):
            for y in range(grid.height):
                for x in range(grid.width):
                    for k in range(grid.tokens):
                        self.codes[t, y, x, k] = self.token(t, y, x, k)
                        out.append(self.codes[t, y, x, k])
        return out

    def token(self, t, y, x, k):
        def code(dt, dy, dx):
            row, column = y + dy, x + dx
            inside = 0 <= row < self.grid.height and 0 <= column < self.grid.width
            return self.codes.get((t - dt, row, column, k), self.vocabulary) if inside else self.vocabulary

        p, q, o = code(1, 0, 0), code(2, 0, 0), code(3, 0, 0)
        l, u, ul, ur = code(0, 0, -1), code(0, -1, 0), code(0, -1, -1), code(0, -1, 1)
        pl, pr, pu, pul, pur = code(1, 0, -1), code(1, 0, 1), code(1, -1, 0), code(1, -1, -1), code(1, -1, 1)
        before = self.codes[t, y, x, k - 1] if k else self.vocabulary
        place = y * self.grid.width + x
        same = (p == q, l == pl, u == pu, p == o, pl == code(2, 0, -1), pr == code(2, 0, 1), ul == pul, ur == pur)
        self.flags, self.place = sum(int(s) << i for i, s in enumerate(same)), place
        lists = ((p,), (place,), (p, q), (l, place), (u, place), (p, l, u), (before,), (q,))
        if not self.whole:
            lists = ((p,), (place,), (l, place), (p, l, u))
        self.hashes = []
        for i, numbers in enumerate(lists):
            h = (i + 8 * k + 1) * 0x9E3779B1 & WORD
            for n in (numbers + (0, 0))[:3]:
                h = (h ^ n) * 0x85EBCA6B & WORD
                h = (h << 13 | h >> 19) & WORD
            self.hashes.append(h)
        if self.whole:
            places = [((h ^ h >> 15) * 0x9E3779B1 & WORD) >> 32 - self.recent_bits for h in self.hashes]
            none = (0, 0, 0, 0, 0)  # last, previous, check, repeats, known
            self.known = [self.recent.get(at, none) for at in places]
            self.known = [r if r[2] == h & 0xFFFF else none for r, h in zip(self.known, self.hashes)]
            self.met = [True] * 8
        node = 1
        for bit in range(self.depth):
            least = (2 * node + 1 << self.depth - 1 - bit) - (1 << self.depth)
            node = 2 * node + (self.decide(node, bit) if least < self.vocabulary else 0)
        c = node - (1 << self.depth)
        if self.whole:
            for at, h, (last, previous, check, repeats, known) in zip(places, self.hashes, self.known):
                if not known:
                    self.recent[at] = (c, 0, h & 0xFFFF, 0, 1)
                elif last == c:
                    self.recent[at] = (last, previous, check, min(repeats + 1, 30), known)
                else:
                    self.recent[at] = (c, last, check, 0, 2)
        return c

    def counter(self, h, node, expected=None):
        m = (h ^ (node * 0xC2B2AE35 & WORD)) * 0x9E3779B1 & WORD
        m ^= m >> 15
        at, check = m % (1 << self.bits), m >> 24
        one, seen, old = self.counters.get(at, NEW + (0,))
        if old != check:
            one, seen = NEW if expected is None else ((54612, 1) if expected else (10923, 1))
            self.counters[at] = one, seen, check
        return at, one, seen

    def learn(self, at, bit):
        one, seen, check = self.counters.get(at, NEW + (0,))
        one += ((65535 if bit else 0) - one) * (131072 // (2 * seen + 3)) >> 16
        self.counters[at] = max(32, min(65504, one)), min(seen + 1, 120), check

    def next_bit(self, code, node, bit):
        path = code + (1 << self.depth)
        return path >> self.depth - 1 - bit & 1 if path >> self.depth - bit == node else None

    def expected(self, i, node, bit):
        last, previous, _, repeats, known = self.known[i]
        found = self.next_bit(last, node, bit) if known else None
        if found is not None:
            return found, (i, repeats, bit)
        found = self.next_bit(previous, node, bit) if known > 1 else None
        return found, (i, 31, bit)

    def decide(self, node, bit):
        decisions, few = self.grid.decisions, node % 4096
        if not self.whole:
            found = [self.counter(h, node) for h in self.hashes]
            x = [stretch(one) * TRUST[min(seen, 15)] >> 4 for _, one, seen in found]
            y = self.mixers[0].mix(few, x)
            one = decisions.bit(max(24, min(65512, squash(y))))
            self.mixers[0].learn(few, x, y, one)
            for at, _, _ in found:
                self.learn(at, one)
            return one
        x, slots, wanted = [0] * 24, [], []
        for i, h in enumerate(self.hashes):
            expected, key = self.expected(i, node, bit)
            if self.met[i]:
                at, one, seen = self.counter(h, node, expected)
                trust = TRUST[min(seen, 15)]
                x[i], x[8 + i] = stretch(one) * trust >> 4, (one - 32768) * trust >> 9
                self.met[i] = seen > 0
                slots.append(at)
            if expected is not None:
                start = 32768 if key[1] == 31 else 65536 - 65536 // (3 + 2 * key[1])
                again = clip(stretch(self.again.setdefault(key, start)), 3071)
                x[16 + i] = again if expected else -again
                wanted.append((key, expected))
        keys = [few, self.place % 1024 * self.depth + bit, self.flags * self.depth + bit]
        ys = [mixer.mix(key, x) for mixer, key in zip(self.mixers, keys)]
        y = self.mixers[3].mix(few, ys)
        j, r = divmod(y + 3072, 192)
        hashed = ((self.hashes[0] ^ (node * 0x9E3779B1 & WORD)) * 0x85EBCA6B & WORD) >> 16
        points = [self.points.setdefault(key, [squash(192 * i - 3072) for i in range(33)]) for key in (("node", few), ("hash", hashed))]
        both = sum((p[j] * (192 - r) + p[j + 1] * r) // 192 for p in points)
        one = decisions.bit(max(24, min(65512, 2 * squash(y) + both >> 2)))
        for mixer, key, mixed in zip(self.mixers, keys, ys):
            mixer.learn(key, x, mixed, one)
        self.mixers[3].learn(few, ys, y, one)
        for p in points:
            at = j + (r >= 96)
            p[at] += ((65535 if one else 0) - p[at]) >> 6
        for at in slots:
            self.learn(at, one)
        for key, expected in wanted:
            self.again[key] += ((65535 if one == expected else 0) - self.again[key]) >> 6
        return one


def run(coder, sized, decisions):
    """Decodes frames of this size; the coder learns from them."""
    coder.grid = sized
    # Digits take decisions from their coder, codes from their grid.
    coder.decisions = sized.decisions = decisions
    return coder.decode()


class Model:
    """[7.11.3]"""

    def __init__(self, data):
        cursor = Cursor(data)
        self.frames, tokens, self.height, self.width = (cursor.varint() for _ in range(4))
        self.scheme = Scheme(cursor, tokens)
        plane = self.height * self.width
        need(plane >= 1 and (self.frames or plane == 1), "size of an example")
        need(plane * self.scheme.channels <= 1 << 19, "size of an example")
        need(self.frames * plane * self.scheme.channels <= 1 << 21, "size of an example")
        decisions = Decisions(cursor.rest())
        self.scheme.take_orders(decisions)
        self.coder = self.scheme.coder()
        self.numbers = run(self.coder, self.scheme.sized(self.frames, self.height, self.width), decisions)
        decisions.done()


def decode_tokens(payload, length, dependency_bytes):
    """[7.11]"""
    cursor = Cursor(payload)
    form, model = cursor.uint(1), None
    need(1 <= form <= 3, "form of tokens", Unsupported)
    if form > 1:
        data = bytes(dependency_bytes(cursor.varint(), TOKEN_MODEL))
        model = MODELS[data] = MODELS.get(data) or Model(data)
    size = cursor.uint(1)
    need(size in (1, 2, 4, 8), "size of tokens")
    tokens = model.scheme.tokens if model else cursor.varint()
    height, width = cursor.varint(), cursor.varint()
    frame = tokens * height * width * size
    need(0 < frame <= length and length % frame == 0 and tokens <= 4096, "shape of tokens")
    frames = length // frame
    scheme = model.scheme if model else Scheme(cursor, tokens)
    sized = scheme.sized(frames, height, width)
    if form == 3:
        first, of_frame = cursor.varint(), height * width * scheme.channels
        need((height, width) == (model.height, model.width) and first + frames <= model.frames, "part of an example")
        need(not cursor.rest(), "bytes after tokens")
        return sized.bytes_of(model.numbers[first * of_frame:(first + frames) * of_frame], size)
    if not model and scheme.kind == 1:
        need(scheme.bits == 10 or 1 << scheme.bits - 10 <= frames * height * width * tokens, "counters")
    decisions = Decisions(cursor.rest())
    if not model:
        scheme.take_orders(decisions)
        sized = scheme.sized(frames, height, width)
    numbers = run(copy.deepcopy(model.coder) if model else scheme.coder(), sized, decisions)
    decisions.done()
    return sized.bytes_of(numbers, size)
