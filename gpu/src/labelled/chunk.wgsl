// What kernels share that decode chunks of 64 lanes: a chunk for each group of GROUP invocations.
//
// An invocation has OWN lanes next to each other, GROUP * OWN = 64. What it keeps of a lane is in variables of its own, so
// `labelled/source.rs` repeats text between `//# each` and `//# end`: `$k` for each lane of an invocation, `$j` for each pair
// (`$a` and `$b` are its lanes), `$p` for each bit that an invocation puts to a vote. It also puts constants before this text, and a `vote_*.wgsl`
// after it: how the invocations of a group count words and escapes.
//
// Positions come from the host, which has checked them; those of words and escapes, and of codes' signs, come from the data, and are held
// against their counts. Loops are bounded by the number of elements. Whatever the words are, a chunk ends, and its status says
// whether it ended as its encoder began.

struct Job {
    // Elements; 0: none, and nothing is written.
    len: u32,
    // Its first word in `out`.
    out_word: u32,
    // Its classes in `shared_words`; the same for all chunks of a workgroup.
    classes: u32,
    // What is known of its columns in `shared_words`, if FLAG_LABELS.
    labels: u32,
    columns: u32,
    first_column: u32,
    // Raw signs in a row, and those before the first column.
    raw_per_row: u32,
    raw_first: u32,
    flags: u32,
    // Where its parts lie in `data`.
    rows: u32,
    states: u32,
    words: u32,
    word_count: u32,
    planes: u32,
    // Bits of planes that are stored; those after them are in the last states.
    stored_bits: u32,
    // Bits in the low plane; where the sign plane begins, and its bits.
    low_bits: u32,
    sign_start: u32,
    sign_bits: u32,
    escapes: u32,
    escape_count: u32,
    // The first step with plane bits that are not stored; the number of steps if there is none.
    replay: u32,
}

const FLAG_LABELS: u32 = 1u;
const FLAG_BIASES: u32 = 2u;
const FLAG_HELD: u32 = 4u;

// What `status` says of a chunk.
const STATUS_DONE: u32 = 1u;
const STATUS_WORDS: u32 = 2u;
const STATUS_ESCAPES: u32 = 4u;
const STATUS_STATES: u32 = 8u;
const STATUS_FILL: u32 = 16u;
const STATUS_GROUP: u32 = 32u;
const STATUS_FULL: u32 = 64u;

const LANES: u32 = 64u;
const STATE_START: u32 = 65536u;
const ZERO: u32 = 62u;
const ESCAPE: u32 = 63u;

// Where the parts of classes lie, from their first word: precision, top, high bits, low bits, first octave, last class; then these.
const CLASS_MAP: u32 = 8u;
const COMMONER: u32 = 72u;
const BUCKETS: u32 = 184u;

@group(0) @binding(0) var<storage, read> jobs: array<Job>;
@group(0) @binding(1) var<storage, read> shared_words: array<u32>;
@group(0) @binding(2) var<storage, read> data: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;
@group(0) @binding(4) var<storage, read_write> status: array<u32>;

// By class: the first bucket of its table; from bit 16 up, the high part of symbol 0.
var<workgroup> class_map: array<u32, 64>;
// By table and bucket. x: frequency of its own symbol (13 bits), 0 (13), its slots (6). y: frequency of the other symbol (13 bits), what
// is added to a slot's place in the bucket for its rank (13, signed), and that symbol (6). A bucket of one symbol has it as the other.
var<workgroup> buckets: array<vec2<u32>, TABLES * 64u>;
// Plane bits, 31 of each lane.
var<workgroup> held: array<u32, CHUNKS * LANES>;
var<workgroup> damage: array<atomic<u32>, CHUNKS>;

fn mask(bits: u32) -> u32 {
    return (1u << bits) - 1u;
}

// What of some lanes' bits is put to the vote: two bits as they are, which weigh the same; the number of more.
fn counts(bits: u32) -> u32 {
    if WEIGHED == 0u {
        return bits;
    }
    return countOneBits(bits);
}

// Word `at` of a stream; 0 beyond its end.
fn stream_word(first: u32, count: u32, at: u32) -> u32 {
    if at >= count {
        return 0u;
    }
    return (data[first + (at >> 1u)] >> ((at & 1u) << 4u)) & 0xffffu;
}

// 32 bits from bit `at` of what begins at word `first` of `data`.
fn bits_at(first: u32, at: u32) -> u32 {
    let word = first + (at >> 5u);
    let shift = at & 31u;
    return (data[word] >> shift) | ((data[word + 1u] << 1u) << (31u - shift));
}

// The low 64 bits of `pair` shifted up by `shift`, 0 to 63.
fn shifted_up(pair: vec2<u32>, shift: u32) -> vec2<u32> {
    if shift >= 32u {
        return vec2<u32>(0u, pair.x << (shift - 32u));
    }
    return vec2<u32>(pair.x << shift, (pair.y << shift) | ((pair.x >> 1u) >> (31u - shift)));
}

// The low `bits` bits of `pair`, 0 to 63.
fn masked(pair: vec2<u32>, bits: u32) -> vec2<u32> {
    if bits >= 32u {
        return vec2<u32>(pair.x, pair.y & mask(bits - 32u));
    }
    return vec2<u32>(pair.x & mask(bits), 0u);
}

// 32 bits from bit `at` of what the last states hold.
fn held_bits(group: u32, at: u32) -> u32 {
    let piece = at / 31u;
    let shift = at % 31u;
    let base = group * LANES;
    let first = select(0u, held[base + min(piece, LANES - 1u)], piece < LANES);
    let second = select(0u, held[base + min(piece + 1u, LANES - 1u)], piece + 1u < LANES);
    return (first >> shift) | (second << (31u - shift));
}

// Word `word` of the planes, stored or held.
fn plane_word(group: u32, planes: u32, stored_bits: u32, word: u32) -> u32 {
    let start = word * 32u;
    if start + 32u <= stored_bits {
        return data[planes + word];
    }
    if start >= stored_bits {
        return held_bits(group, start - stored_bits);
    }
    return data[planes + word] | (held_bits(group, 0u) << (stored_bits - start));
}

// 32 bits from bit `at` of the planes, stored or held.
fn plane_bits(group: u32, planes: u32, stored_bits: u32, at: u32) -> u32 {
    let word = at >> 5u;
    let shift = at & 31u;
    let low = plane_word(group, planes, stored_bits, word) >> shift;
    return low | ((plane_word(group, planes, stored_bits, word + 1u) << 1u) << (31u - shift));
}

