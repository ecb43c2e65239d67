//! Bits put to the places of a mask, four residuals at once: BMI2's `pdep`, where it is quick.

/// A machine that does it quickly.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Deposit(());

/// There is none.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Clone, Copy)]
pub(super) enum Deposit {}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "the instruction is called where it is")]
impl Deposit {
    /// If this machine does.
    pub(super) fn detect() -> Option<Self> {
        use crate::labelled::Level;
        match Level::detect() {
            Level::Avx512 => Some(Self(())),
            Level::Avx2 => (!is_slow()).then_some(Self(())),
            Level::Scalar | Level::Vector128 => None,
        }
    }

    /// Adds the bits from bit `at` on, lowest first, to words with gaps of these masks. Returns where they end.
    #[inline(always)]
    pub(super) fn add(self, bytes: &[u8], at: u64, masks: &[[u16; 4]], words: &mut [[u16; 4]]) -> u64 {
        // SAFETY: `detect` found AVX2 and BMI2, or more; all machines with AVX2 have POPCNT.
        unsafe { add(bytes, at, masks, words) }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "bmi2,popcnt")]
fn add(bytes: &[u8], mut at: u64, masks: &[[u16; 4]], words: &mut [[u16; 4]]) -> u64 {
    for (mask, words) in masks.iter().zip(words) {
        let mask = of_four(*mask);
        let bits = core::arch::x86_64::_pdep_u64(super::residuals::word(bytes, at), mask);
        let both = of_four(*words) | bits;
        *words = [both as u16, (both >> 16) as u16, (both >> 32) as u16, (both >> 48) as u16];
        at += u64::from(mask.count_ones());
    }
    at
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn of_four(four: [u16; 4]) -> u64 {
    four.iter().rev().fold(0, |all, &word| all << 16 | u64::from(word))
}

/// AMD's machines before Zen 3 take a dozen or more cycles for each bit.
#[cfg(target_arch = "x86_64")]
fn is_slow() -> bool {
    use core::arch::x86_64::__cpuid;
    #[allow(
        unsafe_code,
        unused_unsafe,
        reason = "safe since Rust 1.94, which is newer than what this crate asks for"
    )]
    // SAFETY: all x86-64 has this instruction, and these two leaves.
    let (vendor, version) = unsafe { (__cpuid(0), __cpuid(1).eax) };
    let is_by =
        |name: &[u8; 12]| [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == name;
    let family = (version >> 8 & 15) + (version >> 20 & 255);
    (is_by(b"AuthenticAMD") && family < 0x19) || is_by(b"HygonGenuine")
}

#[cfg(not(target_arch = "x86_64"))]
impl Deposit {
    /// Never.
    pub(super) fn detect() -> Option<Self> {
        None
    }

    pub(super) fn add(self, _: &[u8], _: u64, _: &[[u16; 4]], _: &mut [[u16; 4]]) -> u64 {
        match self {}
    }
}
