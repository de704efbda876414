//! One picture on its way from the network to the store, a block at a time.

use std::io::Write;

use pipeline_core::Format;
use pipeline_store::{ImageId, Store, Upload};

use crate::App;
use crate::api::ApiError;
use crate::events::What;

/// Bytes collected before they are written: one trip to a blocking thread for each block.
const BLOCK: usize = 256 << 10;

/// Writes blocks into the store's temporary file, which is removed when this is dropped before
/// [`Spool::accept`].
pub(super) struct Spool {
    app: App,
    upload: Option<Upload>,
    block: Vec<u8>,
    head: Vec<u8>,
}

impl Spool {
    pub(super) fn new(app: &App) -> Self {
        Self {
            app: app.clone(),
            upload: None,
            block: Vec::new(),
            head: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// What the first bytes announce.
    pub(super) fn format(&self) -> Option<Format> {
        Format::sniff(&self.head)
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        const SIGNATURE: usize = 8;
        let wanted = SIGNATURE - self.head.len();
        self.head.extend(bytes.iter().take(wanted));
        self.block.extend_from_slice(bytes);
        if self.block.len() >= BLOCK {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ApiError> {
        let (upload, mut block) = (self.upload.take(), std::mem::take(&mut self.block));
        let written = self.app.blocking(move |app| {
            let upload = write(app.store(), upload, &block)?;
            block.clear();
            Ok((upload, block))
        });
        let (upload, block) = written.await?;
        (self.upload, self.block) = (Some(upload), block);
        Ok(())
    }

    /// Makes the picture durable and puts it in the queue, or finds the one that came with `key` before. `keep` is dropped when that is done.
    pub(super) async fn accept(
        self,
        name: String,
        key: Option<String>,
        keep: impl Send + 'static,
    ) -> Result<ImageId, ApiError> {
        let Self {
            app, upload, block, ..
        } = self;
        let _turn = app.admission().turn().await;
        // All in one piece of blocking work: a client that goes away does not stop it half-way.
        app.blocking(move |app| {
            let upload = write(app.store(), upload, &block)?;
            let id = app.store().accept_once(upload, &name, key.as_deref())?;
            app.events().publish(id, What::Accepted);
            app.runner().wake();
            drop(keep);
            Ok(id)
        })
        .await
    }
}

fn write(store: &Store, upload: Option<Upload>, block: &[u8]) -> Result<Upload, ApiError> {
    let mut upload = match upload {
        Some(upload) => upload,
        None => store.begin_upload()?,
    };
    upload
        .write_all(block)
        .map_err(pipeline_store::Error::upload)?;
    Ok(upload)
}
