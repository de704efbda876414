//! `config.json`: the sizes of the model. What a file leaves out has transformers' default.

use serde::Deserialize;

use crate::GenerationConfig;

/// The whole file, of `model_type` "blip" or "blip-lite".
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub(super) model_type: Option<String>,
    pub(super) text_config: TextConfig,
    pub(super) vision_config: VisionConfig,
    pub(super) tie_word_embeddings: Option<bool>,
    /// Only the bundled model's file has it.
    pub(super) generation: Option<GenerationConfig>,
}

/// The decoder.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(super) struct TextConfig {
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) max_position_embeddings: usize,
    pub(super) hidden_act: String,
    pub(super) layer_norm_eps: f64,
    pub(super) bos_token_id: u32,
    pub(super) sep_token_id: u32,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 30_524,
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 512,
            hidden_act: GELU.to_owned(),
            layer_norm_eps: 1e-12,
            bos_token_id: 30_522,
            sep_token_id: 102,
        }
    }
}

/// The encoder.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(super) struct VisionConfig {
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) image_size: usize,
    pub(super) patch_size: usize,
    pub(super) hidden_act: String,
    pub(super) layer_norm_eps: f64,
    /// A convolutional front in place of the patches.
    pub(super) backbone: Option<BackboneConfig>,
    /// Tokens for the likeliest classes; they need the front.
    pub(super) tags: Option<TagsConfig>,
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            image_size: 384,
            patch_size: 16,
            hidden_act: GELU.to_owned(),
            layer_norm_eps: 1e-5,
            backbone: None,
            tags: None,
        }
    }
}

/// EfficientNet-Lite, scaled in width and depth.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct BackboneConfig {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) stem_channels: usize,
    pub(super) head_channels: usize,
    pub(super) width_mult: f64,
    pub(super) depth_mult: f64,
}

/// The classes of the front, and how many of them the decoder is told.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct TagsConfig {
    pub(super) classes: usize,
    pub(super) top_k: usize,
}

const GELU: &str = "gelu";

/// No side, width or count of a model is larger. A damaged file must not ask for a terabyte.
const MOST: usize = 1 << 20;

impl Config {
    /// Reads and checks the file.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let config: Self = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        match self.model_type.as_deref() {
            None | Some("blip" | "blip-lite") => {}
            Some(other) => {
                return Err(format!(
                    "model_type is \"{other}\", use a BLIP captioning model"
                ));
            }
        }
        let (text, vision) = (&self.text_config, &self.vision_config);
        for (part, act) in [
            ("text_config", &text.hidden_act),
            ("vision_config", &vision.hidden_act),
        ] {
            if act != GELU {
                return Err(format!(
                    "{part}.hidden_act is \"{act}\", only \"gelu\" is known"
                ));
            }
        }
        for (name, value) in [
            ("text_config.vocab_size", text.vocab_size),
            ("text_config.hidden_size", text.hidden_size),
            ("text_config.intermediate_size", text.intermediate_size),
            ("text_config.num_hidden_layers", text.num_hidden_layers),
            ("text_config.num_attention_heads", text.num_attention_heads),
            (
                "text_config.max_position_embeddings",
                text.max_position_embeddings,
            ),
            ("vision_config.hidden_size", vision.hidden_size),
            ("vision_config.intermediate_size", vision.intermediate_size),
            ("vision_config.num_hidden_layers", vision.num_hidden_layers),
            (
                "vision_config.num_attention_heads",
                vision.num_attention_heads,
            ),
            ("vision_config.image_size", vision.image_size),
            ("vision_config.patch_size", vision.patch_size),
        ] {
            if !(1..=MOST).contains(&value) {
                return Err(format!("{name} is {value}"));
            }
        }
        for (part, width, heads) in [
            ("text_config", text.hidden_size, text.num_attention_heads),
            (
                "vision_config",
                vision.hidden_size,
                vision.num_attention_heads,
            ),
        ] {
            if width % heads != 0 {
                return Err(format!(
                    "{part}.hidden_size {width} is not a multiple of its {heads} attention heads"
                ));
            }
        }
        if vision.image_size % vision.patch_size != 0 {
            return Err(format!(
                "vision_config.image_size {} is not a multiple of the patch size {}",
                vision.image_size, vision.patch_size
            ));
        }
        for (name, id) in [
            ("bos_token_id", text.bos_token_id),
            ("sep_token_id", text.sep_token_id),
        ] {
            if id as usize >= text.vocab_size {
                return Err(format!(
                    "text_config.{name} {id} is outside the vocabulary of {}",
                    text.vocab_size
                ));
            }
        }
        if let Some(backbone) = &vision.backbone {
            backbone.check()?;
        }
        match (&vision.tags, &vision.backbone) {
            (Some(_), None) => Err("vision_config.tags needs vision_config.backbone".into()),
            (Some(tags), _) if tags.top_k > tags.classes || tags.classes > MOST => Err(format!(
                "vision_config.tags.top_k is {} of {} classes",
                tags.top_k, tags.classes
            )),
            _ => self
                .generation
                .as_ref()
                .map_or(Ok(()), |g| g.check().map_err(|e| format!("generation.{e}"))),
        }
    }
}

impl BackboneConfig {
    fn check(&self) -> Result<(), String> {
        if !self.kind.starts_with("efficientnet-lite") {
            return Err(format!(
                "vision_config.backbone.type is \"{}\", only EfficientNet-Lite is known",
                self.kind
            ));
        }
        let sizes = [self.stem_channels, self.head_channels];
        let factors = [self.width_mult, self.depth_mult];
        if sizes.iter().any(|size| !(1..=MOST).contains(size))
            || factors.iter().any(|factor| !(0.1..=10.0).contains(factor))
        {
            return Err(format!(
                "vision_config.backbone has impossible sizes: {self:?}"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_blip_with_the_defaults_of_transformers() {
        let config = Config::parse(b"{}").unwrap();
        assert_eq!(config.text_config.num_attention_heads, 8);
        assert_eq!(config.text_config.bos_token_id, 30_522);
        assert_eq!(config.vision_config.image_size, 384);
        assert_eq!(config.tie_word_embeddings, None);
    }

    #[test]
    fn what_cannot_work_is_named() {
        for (json, part) in [
            ("not json", "expected"),
            (r#"{"model_type":"llama"}"#, "model_type is \"llama\""),
            (r#"{"text_config":{"hidden_act":"relu"}}"#, "only \"gelu\""),
            (r#"{"text_config":{"hidden_size":0}}"#, "hidden_size is 0"),
            (r#"{"text_config":{"hidden_size":100}}"#, "not a multiple"),
            (
                r#"{"text_config":{"vocab_size":100}}"#,
                "outside the vocabulary",
            ),
            (
                r#"{"vision_config":{"image_size":9999999999}}"#,
                "image_size is",
            ),
            (r#"{"vision_config":{"image_size":100}}"#, "not a multiple"),
            (
                r#"{"vision_config":{"tags":{"classes":9,"top_k":1}}}"#,
                "needs",
            ),
            (r#"{"generation":{"num_beams":0}}"#, "generation.num_beams"),
        ] {
            let error = Config::parse(json.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{json}: {error}");
        }
    }
}
