//! A loaded model: its parts, made from files that fit each other.

use std::sync::Arc;

use candle_core::Device;
use serde::Serialize;

use super::config::Config;
use super::files::{CONFIG, Failure, Files, PREPROCESSOR, TOKENIZER, opening};
use super::options::{BlipOptions, Precision};
use super::text::TextDecoder;
use super::tokens::Tokens;
use super::vision::Vision;
use super::weights::Weights;
use crate::caption::preprocess::Preprocessor;
use crate::caption::search::{GenerationConfig, Vocabulary};
use crate::{Error, Result};

pub(super) struct Model {
    pub(super) id: Arc<str>,
    pub(super) device: Device,
    pub(super) preprocessor: Preprocessor,
    pub(super) vision: Vision,
    pub(super) decoder: TextDecoder,
    pub(super) tokens: Tokens,
    pub(super) vocabulary: Vocabulary,
    pub(super) begin: u32,
    pub(super) max_positions: usize,
    pub(super) prompt: Vec<u32>,
    pub(super) generation: GenerationConfig,
    /// Of the file of weights, as 64 hexadecimal digits.
    pub(super) weights_sha256: String,
    /// What else decides about a caption, as JSON.
    pub(super) settings: String,
}

/// How sentences are searched for, as it is stored with every caption.
#[derive(Serialize)]
struct Settings<'a> {
    prompt: &'a str,
    precision: Precision,
    generation: &'a GenerationConfig,
}

impl Model {
    pub(super) fn load(
        id: &str,
        files: &Files,
        weights: &Weights,
        weights_name: &str,
        weights_sha256: String,
        options: &BlipOptions,
    ) -> Result<Self, Failure> {
        let config = Config::parse(&files.config).map_err(|e| (opening(CONFIG), e.into()))?;
        let (text, vision) = (&config.text_config, &config.vision_config);
        let preprocessor = Preprocessor::parse(&files.preprocessor, vision.image_size)
            .map_err(|e| (opening(PREPROCESSOR), e.into()))?;
        let tokens = Tokens::parse(&files.tokenizer).map_err(|e| (opening(TOKENIZER), e))?;
        let prompt = tokens
            .ids(options.prompt(&config))
            .map_err(|e| (opening(TOKENIZER), e))?;
        let generation = options.generation(&config);
        let settings = Settings {
            prompt: options.prompt(&config),
            precision: options.precision,
            generation: &generation,
        };
        let settings = serde_json::to_string(&settings)
            .map_err(|e| ("writing the options".to_owned(), e.into()))?;
        let in_weights = |e| (opening(weights_name), e);
        let root = weights.root();
        let tied = config.tie_word_embeddings.unwrap_or(true);
        let model = Self {
            id: id.into(),
            device: options.device.clone(),
            preprocessor,
            vision: Vision::load(&root.at("vision_model"), vision).map_err(in_weights)?,
            decoder: TextDecoder::load(&root.at("text_decoder"), text, vision.hidden_size, tied)
                .map_err(in_weights)?,
            tokens,
            vocabulary: Vocabulary {
                size: text.vocab_size,
                end: text.sep_token_id,
            },
            begin: text.bos_token_id,
            max_positions: text.max_position_embeddings,
            prompt,
            generation,
            weights_sha256,
            settings,
        };
        let settings = |e: String| ("reading the options".to_owned(), e.into());
        model.generation.check().map_err(settings)?;
        model
            .check_prompt(&model.prompt, model.generation.max_new_tokens)
            .map_err(settings)?;
        Ok(model)
    }

    /// The start token and the prompt, if the model has room for so many new tokens after them.
    pub(super) fn prefix(&self, prompt: &[u32], new_tokens: usize) -> Result<Vec<u32>> {
        self.check_prompt(prompt, new_tokens)
            .map_err(|e| Error::model(&*self.id, "reading the prompt", e))?;
        Ok([&[self.begin], prompt].concat())
    }

    fn check_prompt(&self, prompt: &[u32], new_tokens: usize) -> Result<(), String> {
        if let Some(id) = prompt
            .iter()
            .find(|&&id| id as usize >= self.vocabulary.size)
        {
            return Err(format!(
                "the id {id} is outside the model's vocabulary of {}; use the tokenizer.json of the same model",
                self.vocabulary.size
            ));
        }
        // The start token takes a position, the last new token none.
        let needed = prompt.len().saturating_add(new_tokens.max(1));
        if needed > self.max_positions {
            return Err(format!(
                "{} prompt tokens and {new_tokens} new ones need {needed} positions, the model has {}; ask for fewer",
                prompt.len(),
                self.max_positions
            ));
        }
        Ok(())
    }
}
