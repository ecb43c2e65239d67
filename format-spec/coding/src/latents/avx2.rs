//! Coders compiled twice: for any machine, and with AVX2 where there is that. All is integers, so both do the same.

use super::dense::Decisions;

/// What codes numbers. All of it is inlined where it is called, to be compiled for what is allowed there.
pub(super) trait Work {
    /// Codes numbers.
    fn work(&mut self, decisions: &mut impl Decisions, numbers: &mut [u16]);
}

/// Codes numbers with the best that the machine has.
pub(super) fn run<W: Work, D: Decisions>(work: &mut W, decisions: &mut D, numbers: &mut [u16]) {
    #[cfg(target_arch = "x86_64")]
    if crate::labelled::Level::detect() >= crate::labelled::Level::Avx2 {
        #[allow(unsafe_code, reason = "the twin is called where its instructions are")]
        // SAFETY: the machine has AVX2.
        unsafe {
            with_avx2(work, decisions, numbers);
        };
        return;
    }
    work.work(decisions, numbers);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<W: Work, D: Decisions>(work: &mut W, decisions: &mut D, numbers: &mut [u16]) {
    work.work(decisions, numbers);
}
