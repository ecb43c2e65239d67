//! The peers, in the order of the table.

/// A way to code a model file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Its name in the table and in `--peers`.
    pub(super) name: &'static str,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// mcodec at this effort, from file to file.
    Mcodec(u8),
    /// mcodec at this effort, from memory to memory.
    McodecMemory(u8),
    /// A plain copy.
    Memcpy,
    /// zstd at this level.
    Zstd(i32),
    /// zstd at this level on bytes grouped by their place in the element.
    ShuffledZstd(i32),
    /// Measured by the Python script, which knows it by the same name.
    Python,
}

const fn peer(name: &'static str, kind: Kind) -> Peer {
    Peer { name, kind }
}

/// All of them.
pub(super) const PEERS: [Peer; 20] = [
    peer("mcodec-1", Kind::Mcodec(1)),
    peer("mcodec-5", Kind::Mcodec(5)),
    peer("mcodec-9", Kind::Mcodec(9)),
    peer("mcodec-1-memory", Kind::McodecMemory(1)),
    peer("mcodec-5-memory", Kind::McodecMemory(5)),
    peer("mcodec-9-memory", Kind::McodecMemory(9)),
    peer("zstd-1", Kind::Zstd(1)),
    peer("zstd-3", Kind::Zstd(3)),
    peer("zstd-19", Kind::Zstd(19)),
    peer("shuffle+zstd-3", Kind::ShuffledZstd(3)),
    peer("zipnn", Kind::Python),
    peer("pcodec", Kind::Python),
    peer("pcodec-12", Kind::Python),
    peer("blosc2-shuffle-zstd5", Kind::Python),
    peer("blosc2-shuffle-zstd9", Kind::Python),
    peer("blosc2-bitshuffle-zstd5", Kind::Python),
    peer("openzl-float", Kind::Python),
    peer("lmz", Kind::Python),
    peer("lmz-mapped", Kind::Python),
    peer("memcpy", Kind::Memcpy),
];

impl Peer {
    /// Whether it can use several threads.
    pub(super) fn has_threads(&self) -> bool {
        match self.kind {
            Kind::Mcodec(_) | Kind::McodecMemory(_) => true,
            Kind::Python => ["zipnn", "blosc2", "lmz"].iter().any(|name| self.name.starts_with(name)),
            Kind::Memcpy | Kind::Zstd(_) | Kind::ShuffledZstd(_) => false,
        }
    }
}

/// The peer of this name.
pub(super) fn find(name: &str) -> Option<&'static Peer> {
    PEERS.iter().find(|p| p.name == name)
}

/// The peers that a list names, in the table's order; all of them for an empty list. `zstd` stands for every `zstd-…`.
pub(super) fn select(names: &[String]) -> Result<Vec<&'static Peer>, String> {
    let meant = |peer: &Peer, name: &str| {
        peer.name == name || peer.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))
    };
    if let Some(unknown) = names.iter().find(|n| !PEERS.iter().any(|p| meant(p, n))) {
        let all: Vec<&str> = PEERS.iter().map(|p| p.name).collect();
        return Err(format!("there is no peer {unknown:?}; there are {}", all.join(", ")));
    }
    Ok(PEERS.iter().filter(|p| names.is_empty() || names.iter().any(|n| meant(p, n))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(names: &[&str]) -> Vec<&'static str> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        select(&names).unwrap().iter().map(|p| p.name).collect()
    }

    #[test]
    fn names_select_one_or_a_family() {
        assert_eq!(selected(&[]).len(), PEERS.len());
        let nine = ["mcodec-9", "mcodec-9-memory", "zstd-1", "zstd-3", "zstd-19"];
        assert_eq!(selected(&["zstd", "mcodec-9"]), nine);
        assert_eq!(selected(&["pcodec"]), ["pcodec", "pcodec-12"]);
        assert!(select(&["zst".to_owned()]).unwrap_err().contains("mcodec-1, "));
    }

    #[test]
    fn the_script_knows_every_python_peer() {
        for peer in PEERS.iter().filter(|p| p.kind == Kind::Python) {
            assert!(super::super::spawn::SCRIPT.contains(&format!("\"{}\": ", peer.name)), "{}", peer.name);
        }
    }
}
