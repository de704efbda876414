//! The settings of a search.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a sentence is searched for. Names and defaults are those of transformers' `GenerationConfig`.
///
/// ```
/// use pipeline_core::GenerationConfig;
///
/// let beams = GenerationConfig { num_beams: 3, repetition_penalty: 1.2, ..Default::default() };
/// assert_eq!(beams.max_new_tokens, 20);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GenerationConfig {
    /// Sentences that are kept in parallel, 1 (greedy search) to 64. Default: 1.
    pub num_beams: usize,
    /// New tokens at the most, the end included. Default: 20.
    pub max_new_tokens: usize,
    /// New tokens before the end may be written. Default: 0.
    pub min_new_tokens: usize,
    /// Exponent of the length by which a finished beam's score is divided; above 0 favours long sentences. Default: 1.
    pub length_penalty: f64,
    /// Divides the logit of each id that is already there; 1 changes nothing. Default: 1.
    pub repetition_penalty: f32,
    /// No run of so many ids occurs twice; 0 allows all. Default: 0.
    pub no_repeat_ngram_size: usize,
    /// Ids that are never written.
    pub suppress_tokens: Vec<u32>,
    /// When a beam search gives up looking for better sentences.
    pub early_stopping: EarlyStopping,
}

impl Default for GenerationConfig {
    fn default() -> Self {
        Self {
            num_beams: 1,
            max_new_tokens: 20,
            min_new_tokens: 0,
            length_penalty: 1.0,
            repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            suppress_tokens: Vec::new(),
            early_stopping: EarlyStopping::default(),
        }
    }
}

impl GenerationConfig {
    /// More beams than any caption needs; the cache grows with their number.
    const MAX_BEAMS: usize = 64;

    /// Says what is wrong with the settings, if anything is.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(1..=Self::MAX_BEAMS).contains(&self.num_beams) {
            return Err(format!(
                "num_beams is {}, use 1 to {}",
                self.num_beams,
                Self::MAX_BEAMS
            ));
        }
        if !(self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite()) {
            return Err(format!(
                "repetition_penalty is {}, use a number above 0",
                self.repetition_penalty
            ));
        }
        if !self.length_penalty.is_finite() {
            return Err(format!(
                "length_penalty is {}, use a finite number",
                self.length_penalty
            ));
        }
        Ok(())
    }
}

/// When a beam search stops looking, once there are as many finished sentences as beams.
///
/// ```
/// use pipeline_core::{EarlyStopping, GenerationConfig};
///
/// // Written as in the `generation_config.json` of transformers.
/// let config: GenerationConfig = serde_json::from_str(r#"{"num_beams": 3, "early_stopping": true}"#)?;
/// assert_eq!(config.early_stopping, EarlyStopping::Always);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EarlyStopping {
    /// When the best open beam, at its present length, scores below the worst finished sentence. Written `false`.
    #[default]
    Heuristic,
    /// At once. Written `true`.
    Always,
    /// When no open beam can become better, whatever follows. Written `"never"`.
    Never,
}

impl Serialize for EarlyStopping {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Heuristic => serializer.serialize_bool(false),
            Self::Always => serializer.serialize_bool(true),
            Self::Never => serializer.serialize_str("never"),
        }
    }
}

impl<'de> Deserialize<'de> for EarlyStopping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Flag(bool),
            Word(String),
        }

        match Written::deserialize(deserializer)? {
            Written::Flag(false) => Ok(Self::Heuristic),
            Written::Flag(true) => Ok(Self::Always),
            Written::Word(word) if word == "never" => Ok(Self::Never),
            Written::Word(word) => Err(D::Error::custom(format!(
                "early_stopping is \"{word}\", use true, false or \"never\""
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_settings_take_the_defaults() {
        let config: GenerationConfig = serde_json::from_str(r#"{"num_beams":3}"#).unwrap();
        let expected = GenerationConfig {
            num_beams: 3,
            ..Default::default()
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn early_stopping_is_written_as_transformers_does() {
        for (text, value) in [
            ("false", EarlyStopping::Heuristic),
            ("true", EarlyStopping::Always),
            ("\"never\"", EarlyStopping::Never),
        ] {
            assert_eq!(serde_json::from_str::<EarlyStopping>(text).unwrap(), value);
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
        }
        assert!(serde_json::from_str::<EarlyStopping>("\"soon\"").is_err());
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let broken = [
            GenerationConfig {
                num_beams: 0,
                ..Default::default()
            },
            GenerationConfig {
                num_beams: 65,
                ..Default::default()
            },
            GenerationConfig {
                repetition_penalty: 0.0,
                ..Default::default()
            },
            GenerationConfig {
                length_penalty: f64::NAN,
                ..Default::default()
            },
        ];
        for config in broken {
            assert!(config.check().is_err(), "{config:?}");
        }
        assert_eq!(GenerationConfig::default().check(), Ok(()));
    }
}
