// Takes the strongest places that keep their distance from those before: one workgroup, a batch of places at a time.

@group(0) @binding(0) var<uniform> fit: Fit;
@group(0) @binding(1) var<uniform> event: Event;
@group(0) @binding(2) var<storage, read> searches: array<Search>;
@group(0) @binding(3) var<storage, read> ranked: array<vec2u>;
@group(0) @binding(4) var<storage, read_write> state: array<u32>;
// Of each place x, y, scale, energy; then where it is among all maxima.
@group(0) @binding(5) var<storage, read_write> places: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> sources: array<u32>;

const APART: f32 = 0.7;
const BUCKET: f32 = 8.0;
const NEAR: f32 = 1.4;
const MOST_SCALE: f32 = 64.0;

var<workgroup> batch: array<vec4f, 256>;
var<workgroup> conflicts: array<array<u32, 8>, 256>;
var<workgroup> is_free: array<u32, 256>;
var<workgroup> taken: u32;
var<workgroup> wanted: u32;
var<workgroup> count: u32;

// Whether `other`, taken before, keeps `own` from being taken.
fn is_close(own: vec4f, other: vec4f) -> bool {
    let window = NEAR * min(own.z, MOST_SCALE);
    let bucket = floor(other.xy / BUCKET);
    let low = floor((own.xy - window) / BUCKET);
    let high = floor((own.xy + window) / BUCKET);
    return all(bucket >= low) && all(bucket <= high) && distance(own.xy, other.xy) < APART * (own.z + other.z);
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) me: u32) {
    if me == 0u {
        let now = state[COUNT];
        state[BASE] = now;
        taken = 0u;
        count = min(state[COLLECTED], fit.places);
        if event.target_count > 0u {
            wanted = max(min(event.target_count, fit.room), now) - now;
        } else {
            let end = min(event.end, now);
            let moving = end - min(end, event.first);
            wanted = u32(f32(moving) * (f32(event.part) / 1048576.0));
        }
    }
    let all_places = workgroupUniformLoad(&count);
    let most = workgroupUniformLoad(&wanted);
    for (var base = 0u; base < all_places; base += 256u) {
        let before = workgroupUniformLoad(&taken);
        if before >= most {
            break;
        }
        var own = vec4f();
        var source = 0u;
        let is_there = base + me < all_places;
        if is_there {
            let place = ranked[base + me];
            source = place.y;
            var search = 0u;
            while search + 1u < event.searches && source >= searches[search + 1u].maxima {
                search++;
            }
            let level = searches[search];
            let at = source - level.maxima;
            let pixel = vec2f(f32(at % level.width) + 0.5, f32(at / level.width) + 0.5) * level.pixel;
            own = vec4f(pixel, level.scale, bitcast<f32>(place.x));
        }
        batch[me] = own;
        var free = is_there;
        for (var i = 0u; i < before; i++) {
            free = free && !is_close(own, places[i]);
        }
        is_free[me] = u32(free);
        workgroupBarrier();
        for (var word = 0u; word < 8u; word++) {
            var bits = 0u;
            for (var bit = 0u; bit < 32u; bit++) {
                let other = word * 32u + bit;
                if other < me && free && is_close(own, batch[other]) {
                    bits |= 1u << bit;
                }
            }
            conflicts[me][word] = bits;
        }
        workgroupBarrier();
        if me == 0u {
            var accepted = array<u32, 8>();
            var next = before;
            for (var i = 0u; i < 256u && next < most; i++) {
                if is_free[i] == 0u {
                    continue;
                }
                var clash = 0u;
                for (var word = 0u; word < 8u; word++) {
                    clash |= conflicts[i][word] & accepted[word];
                }
                if clash == 0u {
                    accepted[i >> 5u] |= 1u << (i & 31u);
                    places[next] = batch[i];
                    sources[next] = ranked[base + i].y;
                    next++;
                }
            }
            taken = next;
        }
        storageBarrier();
        workgroupBarrier();
    }
    let all_taken = workgroupUniformLoad(&taken);
    if me == 0u {
        state[TAKEN] = all_taken;
        if event.target_count > 0u {
            state[COUNT] += all_taken;
        }
    }
}
