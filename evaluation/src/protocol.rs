//! What is predicted from what: the rules that figures of two runs have to share.

use crate::text::Text;
use crate::{EvaluationError, Result};
use serde::Serialize;

/// How texts are cut into predictions.
///
/// A text's tokens t[0], t[1], ... are predicted in windows: window k reads the `window` tokens from t[k * stride] on, each of which predicts
/// the next. Of its predictions the last `stride` count, so that each token is predicted once; of the first window all do. No token
/// marks the start, so t[0] is not predicted. What does not fill a window at a text's end is left, unless there is no window before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Protocol {
    /// Tokens that a window reads.
    pub window: usize,
    /// Tokens between the starts of windows.
    pub stride: usize,
    /// Predictions at the start of each window but the first that do not count: `window` less `stride`.
    pub uncounted: usize,
    /// Predictions of each text at most; `None`: all.
    pub predictions: Option<usize>,
    /// `tokenizer.json` or `bytes`.
    pub tokens: String,
    /// Tokens that mark a text's start: none.
    pub first_tokens: &'static str,
    /// `f32`.
    pub arithmetic: &'static str,
}

/// One window of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    /// What is read, and behind it the token that the last of these predicts.
    pub(crate) tokens: Vec<u32>,
    /// The first prediction that counts.
    pub(crate) from: usize,
}

impl Protocol {
    /// Of this window and stride.
    ///
    /// # Errors
    /// If they are zero, or the stride is more than the window.
    pub fn new(
        window: usize,
        stride: Option<usize>,
        predictions: Option<usize>,
        tokens: &str,
    ) -> Result<Self> {
        let stride = stride.unwrap_or(window);
        if window == 0 || stride == 0 || stride > window {
            let why = format!(
                "windows of {window} tokens, {stride} from start to start: each token is to be predicted once"
            );
            return Err(EvaluationError::Request(why));
        }
        let uncounted = window - stride;
        let tokens = tokens.to_owned();
        Ok(Self { window, stride, uncounted, predictions, tokens, first_tokens: "none", arithmetic: "f32" })
    }

    /// The windows of a text, and the bytes that their counted predictions are of.
    pub(crate) fn windows(&self, text: &Text) -> Result<(Vec<Window>, u64)> {
        let len = text.tokens.len();
        if len < 2 {
            return Err(EvaluationError::Text(
                "a text of less than two tokens has nothing to predict".into(),
            ));
        }
        let most = self.predictions.unwrap_or(usize::MAX).max(1);
        let (mut all, mut start, mut counted, mut last) = (Vec::new(), 0, 0usize, 0);
        while start + 1 < len && counted < most {
            let end = (start + self.window).min(len - 1);
            let from = if start == 0 { 0 } else { self.uncounted };
            let whole = end - start == self.window;
            if !(whole || all.is_empty()) || (counted + (end - start - from) > most && !all.is_empty()) {
                break;
            }
            counted += end - start - from;
            last = end;
            all.push(Window { tokens: text.tokens[start..=end].to_vec(), from });
            start += self.stride;
        }
        let end_of = |token: usize| text.ends.get(token).copied().unwrap_or(0);
        Ok((all, end_of(last) - end_of(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(n: u32) -> Text {
        Text { tokens: (0..n).collect(), ends: (1..=u64::from(n)).map(|e| 2 * e).collect(), hash: [0; 32] }
    }

    fn cut(protocol: &Protocol, n: u32) -> (Vec<(u32, usize, usize)>, u64) {
        let (windows, bytes) = protocol.windows(&text(n)).unwrap();
        (windows.iter().map(|w| (w.tokens[0], w.tokens.len(), w.from)).collect(), bytes)
    }

    #[test]
    fn each_token_but_the_first_is_predicted_once() {
        let whole = Protocol::new(4, None, None, "bytes").unwrap();
        assert_eq!(cut(&whole, 9), (vec![(0, 5, 0), (4, 5, 0)], 16));
        assert_eq!(cut(&whole, 12), (vec![(0, 5, 0), (4, 5, 0)], 16));
        assert_eq!(cut(&whole, 3), (vec![(0, 3, 0)], 4));
        let sliding = Protocol::new(4, Some(2), None, "bytes").unwrap();
        assert_eq!(cut(&sliding, 9), (vec![(0, 5, 0), (2, 5, 2), (4, 5, 2)], 16));
        let few = Protocol::new(4, None, Some(5), "bytes").unwrap();
        assert_eq!(cut(&few, 9), (vec![(0, 5, 0)], 8));
        assert!(whole.windows(&text(1)).is_err());
        assert!(Protocol::new(4, Some(5), None, "bytes").is_err());
    }
}
