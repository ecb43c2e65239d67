// Drawn planes as texels of a texture. The form of the texture, `Texture`, is put before it.

struct Rule {
    // Pixels, and where the first goes.
    size: vec2u,
    origin: vec2u,
    // The group's first plane, its channels, and those of them that are colours.
    first: u32,
    channels: u32,
    colours: u32,
    // Its colours are Y, U, V; they are logarithms; sRGB's coding of them is undone.
    is_luma: u32,
    is_log: u32,
    to_light: u32,
    // What texels hold at most, and what 0 and 1 stand for.
    most: f32,
    low: f32,
    high: f32,
    // Its last channel is alpha, which was multiplied by this; its one colour is grey.
    has_alpha: u32,
    alpha_scale: f32,
    is_grey: u32,
}

@group(0) @binding(0) var<uniform> rule: Rule;
@group(0) @binding(1) var<storage, read> planes: array<f32>;
@group(0) @binding(2) var texture: Texture;

fn light_of(colour: f32) -> f32 {
    return select(pow((colour + 0.055) / 1.055, 2.4), colour / 12.92, colour <= 0.04045);
}

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= rule.size.x || id.y >= rule.size.y {
        return;
    }
    let place = (id.y * rule.size.x + id.x) * CHANNELS + rule.first;
    var value = array<f32, 4>(0.0, 0.0, 0.0, 1.0);
    for (var c = 0u; c < rule.channels; c++) {
        value[c] = planes[place + c];
    }
    if rule.is_luma != 0u {
        let luma = value[0] / 1.7320508;
        let orange = value[1] / 1.4142135;
        let green = value[2] / 2.4494898;
        value[0] = luma + orange - green;
        value[1] = luma + 2.0 * green;
        value[2] = luma - orange - green;
    }
    var alpha = 1.0;
    if rule.has_alpha != 0u {
        alpha = clamp(value[rule.colours] / rule.alpha_scale, 0.0, 1.0);
    }
    for (var c = 0u; c < rule.colours; c++) {
        if rule.has_alpha != 0u {
            value[c] = select(0.0, (value[c] - 0.5 * (1.0 - alpha)) / alpha, alpha > 1e-6);
        }
        value[c] = rule.low + clamp(value[c], 0.0, 1.0) * (rule.high - rule.low);
        if rule.is_log != 0u {
            value[c] = exp2(value[c]);
        }
    }
    if rule.is_grey != 0u {
        value[1] = value[0];
        value[2] = value[0];
    }
    if rule.has_alpha != 0u {
        value[3] = alpha;
    }
    for (var c = 0u; c < 3u; c++) {
        if rule.to_light != 0u {
            value[c] = light_of(value[c]);
        }
        value[c] = clamp(value[c], -rule.most, rule.most);
    }
    textureStore(texture, rule.origin + id.xy, vec4f(value[0], value[1], value[2], value[3]));
}
