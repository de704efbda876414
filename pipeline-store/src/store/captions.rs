//! Captions by people, and those there were before.

use super::Store;
use crate::{CaptionRecord, Error, ImageId, Result, captions, images};

impl Store {
    /// All captions that an image ever had, newest first; `None` if there is no such image.
    ///
    /// ```
    /// # use pipeline_store::{Store, StoreConfig};
    /// # use std::time::Duration;
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # let id = store.accept(store.begin_upload()?, "cat.jpg")?;
    /// # let job = store.claim("worker-1")?.expect("one image waits");
    /// # store.fail(&job, "unknown-format", "not a picture", Duration::ZERO)?;
    /// for text in ["a cat", "my cat"] {
    ///     store.set_caption(id, Some(text))?;
    /// }
    /// let captions = store.captions(id)?.expect("it is there");
    /// assert!(captions[0].is_current && captions[0].text == "my cat"); // the newest first
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn captions(&self, id: ImageId) -> Result<Option<Vec<CaptionRecord>>> {
        self.inner
            .db
            .read("read captions", |tx| match images::find(tx, id)? {
                Some((seq, _)) => captions::all(tx, seq).map(Some),
                None => Ok(None),
            })
    }

    /// Gives an image the caption of a person, which no work on the image takes away; or, with `None`, the newest caption
    /// of a model in place of a person's. `false` if there is no such image.
    ///
    /// ```
    /// use pipeline_store::CaptionSource;
    /// # use pipeline_store::{Store, StoreConfig};
    /// # use std::time::Duration;
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # let id = store.accept(store.begin_upload()?, "cat.jpg")?;
    /// # let job = store.claim("worker-1")?.expect("one image waits");
    /// # store.fail(&job, "unknown-format", "not a picture", Duration::ZERO)?;
    ///
    /// assert!(store.set_caption(id, Some("my cat Tom"))?);
    /// let caption = store.image(id)?.and_then(|image| image.caption).expect("it has one");
    /// assert_eq!((&*caption.text, caption.source), ("my cat Tom", CaptionSource::Human));
    /// store.set_caption(id, None)?; // back to the model's, if there is one
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InWork`] while the image is in work; if the database cannot be written.
    pub fn set_caption(&self, id: ImageId, text: Option<&str>) -> Result<bool> {
        let found = self.inner.db.write("store a caption", |tx| {
            let found = images::find(tx, id)?;
            if let Some((seq, false)) = found {
                match text {
                    Some(text) => captions::add_human(tx, seq, text)?,
                    None => captions::drop_human(tx, seq)?,
                }
            }
            Ok(found)
        })?;
        match found {
            Some((_, true)) => Err(Error::InWork { id }),
            found => Ok(found.is_some()),
        }
    }
}
