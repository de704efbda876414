//! Text to ids and back.

use tokenizers::Tokenizer;

use super::weights::Fault;

pub(super) struct Tokens {
    tokenizer: Tokenizer,
}

impl Tokens {
    /// Reads `tokenizer.json`.
    pub(super) fn parse(json: &[u8]) -> Result<Self, Fault> {
        let mut tokenizer = Tokenizer::from_bytes(json)?;
        // A file may ask for padding or cutting, which only several texts at once need.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None)?;
        Ok(Self { tokenizer })
    }

    /// The ids of a text, without any that mark its ends.
    pub(super) fn ids(&self, text: &str) -> Result<Vec<u32>, Fault> {
        Ok(self.tokenizer.encode_fast(text, false)?.get_ids().to_vec())
    }

    /// The text of ids. Special ones are left out.
    pub(super) fn text(&self, ids: &[u32]) -> Result<String, Fault> {
        self.tokenizer.decode(ids, true)
    }
}
