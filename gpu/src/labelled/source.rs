//! The text of a kernel: WGSL with what the device and the data fix.

use super::Float;

/// How the invocations of a group count words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Vote {
    /// By subgroup ballots; subgroups have up to so many invocations.
    Subgroup {
        /// Greatest size of a subgroup.
        most: u32,
    },
    /// In workgroup memory.
    Workgroup,
}

/// What a kernel is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) vote: Vote,
    /// Invocations that decode a chunk.
    pub(super) group: u32,
    /// Chunks of a workgroup.
    pub(super) chunks: u32,
    /// Tables there is room for.
    pub(super) tables: u32,
    pub(super) elements: Elements,
}

/// What elements are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Elements {
    /// Labelled floats.
    Floats {
        /// Of each.
        bytes: u32,
    },
    /// Codes, which become these.
    Codes(Float),
}

impl Elements {
    /// Bytes of each.
    pub(super) fn bytes(self) -> u32 {
        match self {
            Self::Floats { bytes } => bytes,
            Self::Codes(Float::F32) => 4,
            Self::Codes(_) => 2,
        }
    }
}

const CHUNK: &str = include_str!("chunk.wgsl");
/// Bits of a plane that a code has at most.
const CODE_BITS: u32 = 25;
const LANES: u32 = super::LANES as u32;

impl Shape {
    /// Lanes of an invocation.
    fn own(&self) -> u32 {
        LANES / self.group
    }

    pub(super) fn source(&self) -> String {
        let (entry, vote) = match self.vote {
            Vote::Subgroup { .. } => {
                (include_str!("entry_subgroup.wgsl"), include_str!("vote_subgroup.wgsl"))
            }
            Vote::Workgroup => (include_str!("entry_workgroup.wgsl"), include_str!("vote_workgroup.wgsl")),
        };
        let shared = [
            ("entry", entry),
            ("begin", include_str!("begin.wgsl")),
            ("symbols", include_str!("symbols.wgsl")),
            ("last states", include_str!("last_states.wgsl")),
            ("end of chunk", include_str!("end.wgsl")),
        ];
        let put = |text: String, (name, part): &(&str, &str)| replaced(&text, name, part);
        let kernel = CHUNK.to_owned() + &shared.iter().fold(self.elements.kernel(), put);
        let most = match self.vote {
            Vote::Subgroup { most } => most,
            Vote::Workgroup => 0,
        };
        let mut text = String::new();
        for (name, value) in [
            ("GROUP", self.group),
            ("GROUP_MASK", u32::MAX >> (32 - self.group)),
            ("SUBGROUP_MAX", most),
            ("OWN", self.own()),
            ("PLANES", self.planes()),
            ("WEIGHED", u32::from(self.own() > 2)),
            ("CHUNKS", self.chunks),
            ("TABLES", self.tables),
            ("BYTES", self.elements.bytes()),
            ("BITS_MOST", CODE_BITS * self.own()),
            ("ELEMENT", if let Elements::Codes(float) = self.elements { float as u32 } else { 0 }),
        ] {
            text += &format!("const {name}: u32 = {value}u;\n");
        }
        text += &self.repeat(&kernel);
        text += &self.repeat(vote);
        text
    }

    /// Bits that an invocation puts to a vote: of the number of lanes, or of two lanes.
    fn planes(&self) -> u32 {
        self.own().ilog2() + 1
    }

    /// Writes out what stands between `//# each NAME` and `//# end` for each of what the name counts.
    fn repeat(&self, text: &str) -> String {
        let mut out = String::new();
        let mut block: Option<(&str, String)> = None;
        for line in text.lines() {
            let directive = line.trim();
            if let Some(name) = directive.strip_prefix("//# each ") {
                block = Some((name, String::new()));
            } else if directive == "//# end" {
                if let Some((name, body)) = block.take() {
                    (0..self.count(name)).for_each(|i| out += &numbered(&body, name, i));
                }
            } else {
                let target = block.as_mut().map_or(&mut out, |(_, body)| body);
                *target += line;
                target.push('\n');
            }
        }
        out
    }

    fn count(&self, name: &str) -> u32 {
        match name {
            "k" => self.own(),
            "j" => self.own() / 2,
            _ => self.planes(),
        }
    }
}

impl Elements {
    /// The kernel's text after `chunk.wgsl`.
    fn kernel(self) -> String {
        match self {
            Self::Floats { bytes } => {
                let (low, store) = match bytes {
                    2 => (include_str!("low_2.wgsl"), include_str!("store_2.wgsl")),
                    4 => (include_str!("low_4.wgsl"), include_str!("store_4.wgsl")),
                    _ => (include_str!("low_8.wgsl"), include_str!("store_8.wgsl")),
                };
                include_str!("labelled.wgsl").replace("//# low", low).replace("//# store", store)
            }
            Self::Codes(_) => {
                let (load, store) = match self.bytes() {
                    2 => (include_str!("codes_load_2.wgsl"), include_str!("codes_store_2.wgsl")),
                    _ => (include_str!("codes_load_4.wgsl"), include_str!("codes_store_4.wgsl")),
                };
                include_str!("codes.wgsl")
                    .replace("//# load number", load)
                    .replace("//# store number", store)
                    .replace("//# advance", include_str!("codes_advance.wgsl"))
            }
        }
    }
}

/// The text with a part in the place of each line that asks for it.
fn replaced(text: &str, name: &str, part: &str) -> String {
    let asked = format!("//# {name}");
    text.split_inclusive('\n').map(|line| if line.trim() == asked { part } else { line }).collect()
}

fn numbered(body: &str, name: &str, i: u32) -> String {
    let text = body.replace(&format!("${name}"), &i.to_string());
    if name == "j" {
        return text.replace("$a", &(2 * i).to_string()).replace("$b", &(2 * i + 1).to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_repeated() {
        let shape = Shape {
            vote: Vote::Workgroup,
            group: 16,
            chunks: 1,
            tables: 1,
            elements: Elements::Floats { bytes: 2 },
        };
        let text =
            shape.repeat("a\n  //# each j\n  x$j = $a + $bu;\n  //# end\nb\n//# each k\n$k\n//# end\n");
        assert_eq!(text, "a\n  x0 = 0 + 1u;\n  x1 = 2 + 3u;\nb\n0\n1\n2\n3\n");
        let shape = Shape { group: 32, ..shape };
        assert_eq!(shape.repeat("//# each p\n$p\n//# end"), "0\n1\n");
        let text = shape.source();
        let left = |line: &&str| !line.trim().starts_with("// ") && line.contains(['$', '#']);
        assert_eq!(text.lines().find(left), None);
    }

    /// Of all that may be made, also for subgroups that no device here has.
    #[test]
    fn every_kernel_is_valid() {
        use wgpu::naga::valid::{
            Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator,
        };
        for (vote, group, chunks) in [
            (Vote::Subgroup { most: 32 }, 32, 4),
            (Vote::Subgroup { most: 64 }, 32, 4),
            (Vote::Subgroup { most: 128 }, 32, 4),
            (Vote::Subgroup { most: 16 }, 16, 8),
            (Vote::Subgroup { most: 32 }, 8, 16),
            (Vote::Subgroup { most: 4 }, 4, 16),
            (Vote::Workgroup, 32, 1),
        ] {
            let floats = |bytes| Elements::Floats { bytes };
            let codes = [Float::Bf16, Float::F16, Float::F32].map(|float| (8, Elements::Codes(float)));
            let floats = [(8, floats(2)), (16, floats(2)), (8, floats(4)), (8, floats(8))];
            for (tables, elements) in floats.into_iter().chain(codes) {
                let source = Shape { vote, group, chunks, tables, elements }.source();
                let module = match wgpu::naga::front::wgsl::parse_str(&source) {
                    Ok(module) => module,
                    Err(e) => panic!("{}", e.emit_to_string(&source)),
                };
                let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
                validator.subgroup_stages(ShaderStages::COMPUTE);
                validator.subgroup_operations(SubgroupOperationSet::all());
                if let Err(e) = validator.validate(&module) {
                    panic!("{}", e.emit_to_string(&source));
                }
            }
        }
    }
}
