//! Sentences that a model writes when it has lost its way: empty ones, and those that go round in circles.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What stands for a caption when the model has nothing to say.
pub(super) const NOTHING: &str = "No caption generated.";

/// The longest run of words whose repetition is looked for.
const LONGEST: usize = 8;
/// How often a single word stands in a row, and how often a run of several does, in a sentence that is odd.
const SINGLE_TIMES: usize = 4;
const RUN_TIMES: usize = 3;

/// What is odd about a caption. The text stays as the model wrote it.
///
/// ```
/// use pipeline_core::CaptionWarning;
///
/// let warning = CaptionWarning::of("a red red red red car").expect("it goes round in circles");
/// assert_eq!(warning.code(), "repetition"); // as it is stored
/// assert_eq!(CaptionWarning::from_code("repetition"), Some(warning));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CaptionWarning {
    /// It says nothing.
    Empty,
    /// It says the same words over and over.
    Repetition,
}

impl CaptionWarning {
    /// What is odd about `text`, if anything is.
    ///
    /// ```
    /// use pipeline_core::CaptionWarning;
    ///
    /// assert_eq!(CaptionWarning::of("a cat on a mat"), None);
    /// let looping = "a cat and a dog and a dog and a dog and a";
    /// assert_eq!(CaptionWarning::of(looping), Some(CaptionWarning::Repetition));
    /// ```
    pub fn of(text: &str) -> Option<Self> {
        let words: Vec<String> = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        if words.is_empty() || text == NOTHING {
            return Some(Self::Empty);
        }
        let goes_round = |length: usize| {
            let times = if length == 1 { SINGLE_TIMES } else { RUN_TIMES };
            // So many words in a row are the same as those one round before.
            let wanted = length * (times - 1);
            let mut same = 0;
            words[length.min(words.len())..]
                .iter()
                .zip(&words)
                .any(|(word, before)| {
                    same = if word == before { same + 1 } else { 0 };
                    same >= wanted
                })
        };
        (1..=LONGEST).any(goes_round).then_some(Self::Repetition)
    }

    /// A stable kebab-case code for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Repetition => "repetition",
        }
    }

    /// The warning of that code.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Empty, Self::Repetition]
            .into_iter()
            .find(|warning| warning.code() == code)
    }
}

impl fmt::Display for CaptionWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_noticed() {
        for text in [
            "dog dog dog dog",
            "a very very very very large cat",
            "a man and a man and a man and a woman",
            "the the the the",
            "x a b c d e f g h a b c d e f g h a b c d e f g h",
            "Cat, cat; CAT cat",
        ] {
            let warning = CaptionWarning::of(text);
            assert_eq!(warning, Some(CaptionWarning::Repetition), "{text}");
        }
    }

    #[test]
    fn plain_sentences_are_not() {
        for text in [
            "a cat",
            "a cat sitting on a mat",
            "a very very large cat",
            "a man and a woman and a child and a dog",
            "a close up of a table with a cup of coffee",
            "猫",
        ] {
            assert_eq!(CaptionWarning::of(text), None, "{text}");
        }
    }

    #[test]
    fn nothing_is_noticed() {
        for text in ["", "  ", "...", NOTHING] {
            assert_eq!(
                CaptionWarning::of(text),
                Some(CaptionWarning::Empty),
                "{text}"
            );
        }
    }

    #[test]
    fn codes_lead_back() {
        for warning in [CaptionWarning::Empty, CaptionWarning::Repetition] {
            assert_eq!(CaptionWarning::from_code(warning.code()), Some(warning));
            let json = serde_json::to_string(&warning).unwrap();
            assert_eq!(json, format!("\"{warning}\""));
        }
        assert_eq!(CaptionWarning::from_code("x"), None);
    }
}
