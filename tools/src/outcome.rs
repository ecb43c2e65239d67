//! How a command ends, and the exit code of each ending. The only place that knows the codes.

use mcodec_decode::DecodeError;
use mcodec_encode::EncodeError;
use std::io;
use std::process::ExitCode;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done.
    Done,
    /// Failed; also: damage was found.
    Failed,
    /// The request itself is wrong: bad arguments, refusal to overwrite, a feature that was not built.
    Usage,
    /// Done, but something was lost.
    Loss,
    /// The two inputs differ.
    Different,
}

/// The process's exit code for an outcome.
pub(crate) fn exit_code(outcome: Outcome) -> ExitCode {
    ExitCode::from(code(outcome))
}

const fn code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Done => 0,
        Outcome::Failed => 1,
        Outcome::Usage => 2,
        Outcome::Loss => 3,
        Outcome::Different => 4,
    }
}

/// A request that is refused before anything is done.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// A usage error with this message.
pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
    UsageError(message.into()).into()
}

/// The user stopped the command.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// The outcome of a command's result, and the message to end with.
pub(crate) fn judge(result: anyhow::Result<Outcome>) -> (Outcome, Option<String>) {
    match result {
        Ok(outcome) => (outcome, None),
        Err(e) if is_closed_pipe(&e) => (Outcome::Done, None),
        Err(e) if e.chain().any(is_usage) => (Outcome::Usage, Some(message(&e))),
        Err(e) => (Outcome::Failed, Some(message(&e))),
    }
}

/// Whoever read our output has had enough of it.
fn is_closed_pipe(e: &anyhow::Error) -> bool {
    e.chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}

fn is_usage(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<UsageError>()
        || matches!(
            cause.downcast_ref::<EncodeError>(),
            Some(
                EncodeError::Exists { .. }
                    | EncodeError::Request(_)
                    | EncodeError::Decode(DecodeError::Request(_))
            )
        )
        || matches!(cause.downcast_ref::<DecodeError>(), Some(DecodeError::Request(_)))
}

/// The error with its causes, on one line; causes that the text above them quotes already are not repeated.
fn message(e: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in e.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    fn outcome(e: impl Into<anyhow::Error>) -> Outcome {
        judge(Err(e.into())).0
    }

    #[test]
    fn every_ending_has_its_code() {
        let all = [Outcome::Done, Outcome::Failed, Outcome::Usage, Outcome::Loss, Outcome::Different];
        assert_eq!(all.map(code), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn errors_are_sorted() {
        let request = || DecodeError::Request("rows".into());
        assert_eq!(outcome(usage("x")), Outcome::Usage);
        assert_eq!(outcome(usage("x").context("y")), Outcome::Usage);
        assert_eq!(outcome(EncodeError::Exists { path: "x".into() }), Outcome::Usage);
        assert_eq!(outcome(EncodeError::Request("x".into())), Outcome::Usage);
        assert_eq!(outcome(EncodeError::Decode(request())), Outcome::Usage);
        assert_eq!(outcome(request()), Outcome::Usage);
        assert_eq!(outcome(EncodeError::Cancelled), Outcome::Failed);
        assert_eq!(outcome(Interrupted), Outcome::Failed);
        assert_eq!(outcome(io::Error::other("x")), Outcome::Failed);
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(judge(Err(closed()).context("writing")), (Outcome::Done, None));
        let within = EncodeError::Io { action: "write", path: "-".into(), source: closed() };
        assert_eq!(judge(Err(within.into())), (Outcome::Done, None));
    }

    #[test]
    fn causes_are_told_once() {
        let cause = io::Error::other("disk on fire");
        let e = anyhow::Error::from(EncodeError::Io { action: "read", path: "x".into(), source: cause });
        assert_eq!(judge(Err(e)).1.unwrap(), "cannot read x: disk on fire");
        let e = anyhow::Error::from(io::Error::other("disk on fire")).context("saving");
        assert_eq!(judge(Err(e)).1.unwrap(), "saving: disk on fire");
    }
}
