//! How a model is opened.

use candle_core::Device;
use serde::Serialize;

use super::config::Config;
use super::weights::Place;
use crate::GenerationConfig;

/// The prompt of the service that BLIP's users come from.
const PROMPT: &str = "Describe only what is visually present in this image.";

/// What the model's products are computed with.
///
/// ```
/// use pipeline_core::{BlipOptions, Precision};
///
/// let fast = BlipOptions { precision: Precision::Fast, ..Default::default() };
/// assert_eq!(BlipOptions::default().precision, Precision::Full);
/// # drop(fast);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point: the reference's tokens.
    #[default]
    Full,
    /// Integers with a scale for each row and each output, on the CPU: of 16 bits, and of 8 for some of the
    /// decoder's weights and for keys and values. Half the memory and less time, for captions that differ now and
    /// then. Elsewhere the same as `Full`.
    Fast,
}

/// How a model is opened. Each field has a default that suits the model.
///
/// ```
/// use pipeline_core::{BlipOptions, GenerationConfig};
///
/// let greedy = BlipOptions {
///     prompt: Some("a photo of".into()),
///     generation: Some(GenerationConfig::default()),
///     ..Default::default()
/// };
/// assert!(greedy.device.is_cpu());
/// ```
#[derive(Debug, Clone)]
pub struct BlipOptions {
    /// Where the model runs. Default: the CPU.
    pub device: Device,
    /// What its products are computed with. Default: 32-bit floating point.
    pub precision: Precision,
    /// The id stored with each caption. Default: the name of the folder.
    pub model: Option<String>,
    /// The beginning that the model completes; it is no part of the caption, and empty is none. Default: "Describe only
    /// what is visually present in this image.", or none for a model whose `config.json` has a `generation`.
    pub prompt: Option<String>,
    /// How the sentence is searched for. Default: the `generation` of `config.json`, else 20 new tokens at the most, 3
    /// beams, repetition penalty 1.2.
    pub generation: Option<GenerationConfig>,
}

impl Default for BlipOptions {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            precision: Precision::Full,
            model: None,
            prompt: None,
            generation: None,
        }
    }
}

impl BlipOptions {
    pub(super) fn place(&self) -> Place {
        Place {
            device: self.device.clone(),
            precision: self.precision,
        }
    }

    pub(super) fn prompt(&self, config: &Config) -> &str {
        match &self.prompt {
            Some(prompt) => prompt,
            None if config.generation.is_some() => "",
            None => PROMPT,
        }
    }

    pub(super) fn generation(&self, config: &Config) -> GenerationConfig {
        let chosen = self.generation.as_ref().or(config.generation.as_ref());
        chosen.cloned().unwrap_or_else(|| GenerationConfig {
            num_beams: 3,
            repetition_penalty: 1.2,
            ..Default::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_model_s_own_or_those_of_the_contract() {
        let options = BlipOptions::default();
        let blip = Config::parse(b"{}").unwrap();
        assert_eq!(options.prompt(&blip), PROMPT);
        let generation = options.generation(&blip);
        assert_eq!((generation.num_beams, generation.max_new_tokens), (3, 20));
        assert_eq!(generation.repetition_penalty, 1.2);

        let own = Config::parse(br#"{"generation":{"num_beams":2}}"#).unwrap();
        assert_eq!(options.prompt(&own), "");
        assert_eq!(options.generation(&own).num_beams, 2);
    }
}
