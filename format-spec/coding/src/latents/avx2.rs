//! Coders compiled twice: for any machine, and with AVX2 where there is that. All is integers, so both do the same.

/// Something to be done. All of it is inlined where it is called, to be compiled for what is allowed there.
pub(super) trait Work {
    /// What comes of it.
    type Done;

    /// Does it.
    fn work(self) -> Self::Done;
}

/// Does it with the best that the machine has.
pub(super) fn run<W: Work>(work: W) -> W::Done {
    #[cfg(target_arch = "x86_64")]
    if crate::labelled::Level::detect() >= crate::labelled::Level::Avx2 {
        #[allow(unsafe_code, reason = "the twin is called where its instructions are")]
        // SAFETY: the machine has AVX2 and BMI2, which that level means.
        return unsafe { with_avx2(work) };
    }
    work.work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi2")]
fn with_avx2<W: Work>(work: W) -> W::Done {
    work.work()
}
