"""What digits of tokens tell of the numbers of a grid, written from format-spec/SPEC.md section 7.12 alone; for independent_grids.py."""
from independent_values import Cursor, need


class Digits:
    """[7.12] What digits of tokens tell of the numbers of a grid."""

    def __init__(self, data, grid, tokens):
        cursor = Cursor(data)
        need(cursor.uint(1) == 1, "form of digits")
        self.counts = [cursor.varint() for _ in range(self.some(cursor, 4096))]
        need(min(self.counts) >= 1 and sum(self.counts) <= 4096, "digits of tokens")
        tables = [self.table(cursor) for _ in range(self.some(cursor, sum(self.counts)))]
        places = [cursor.varint() for _ in range(sum(self.counts))]
        cursor.done("digits of tokens")
        need(max(places) < len(tables) and len(places) == grid.channels, "digits of other channels")
        self.tables, self.grid = [tables[p] for p in places], grid
        rest = iter(self.tables)
        for count in self.counts:
            product = 1
            for _ in range(count):
                product *= len(next(rest)[0]) + 1
            need(product < 1 << 64, "levels of tokens")
        self.take_apart(tokens)

    @staticmethod
    def some(cursor, most):
        count = cursor.varint()
        need(1 <= count <= most, "digits of tokens")
        return count

    @staticmethod
    def table(cursor):
        levels, join = cursor.varint(), cursor.uint(1)
        need(2 <= levels <= 256, "levels of a digit")
        lists = []
        for count in (levels - 1, levels):
            last, numbers = 0, []
            for _ in range(count):
                last += cursor.svarint()
                need(-1 << 17 <= last < 1 << 17, "number of a digit")
                numbers.append(last)
            lists.append(numbers)
        need(lists[0] == sorted(lists[0]), "numbers that descend")
        return lists[0], join

    def take_apart(self, tokens):
        grid, self.digits = self.grid, {}
        plane, k = grid.height * grid.width, len(self.counts)
        size = len(tokens) // (grid.frames * plane * k)
        need(size in (1, 2, 4, 8) and size * grid.frames * plane * k == len(tokens), "tokens of another shape")
        for t in range(grid.frames):
            for p in range(plane):
                y, x = divmod(p, grid.width)
                c = 0
                for i, count in enumerate(self.counts):
                    at = ((t * k + i) * plane + p) * size
                    token = int.from_bytes(tokens[at:at + size], "little")
                    for _ in range(count):
                        token, self.digits[t, x, y, c] = divmod(token, len(self.tables[c][0]) + 1)
                        c += 1
                    need(token == 0, "a token beyond its levels")

    def limit(self, low, count):
        self.low, self.count = low, count
        for place in self.digits:
            lo, hi = self.ends(*place)
            need(lo < hi, "a digit that stands for no number")

    def ends(self, t, x, y, c):
        (firsts, join), d = self.tables[c], self.digits[t, x, y, c]
        lo = firsts[d - 1] - self.low if d else 0
        hi = firsts[d] + join - self.low if d < len(firsts) else self.count
        return max(0, min(self.count, lo)), max(0, min(self.count, hi))
