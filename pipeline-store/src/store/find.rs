//! Finding images, and having them done again.

use super::{Inner, Store};
use crate::{
    Error, Filter, ImageId, Listing, Page, Reprocessed, Result, Similar, find, images, jobs,
};

/// Images that one transaction queues again: others wait for the database that long.
const BATCH: usize = 256;

impl Store {
    /// The images that `filter` holds for, newest first.
    ///
    /// ```
    /// use pipeline_store::{Filter, Page};
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    ///
    /// store.accept(store.begin_upload()?, "black cat.jpg")?;
    /// let filter = Filter { text: Some("cat bla".into()), ..Filter::default() };
    /// assert_eq!(store.find(&filter, &Page::default())?.total, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn find(&self, filter: &Filter, page: &Page) -> Result<Listing> {
        self.inner
            .db
            .read("find images", |tx| find::list(tx, filter, page))
    }

    /// At most `limit` images that look like this one, the most alike first: those whose hashes differ in at most
    /// `max_distance` bits. None if this one has no hash yet; `None` if there is no such image.
    ///
    /// ```
    /// # use pipeline_core::{Cx, Decoded, ImagePipeline, Pipeline, Stage, ThumbnailSpec, ThumbnailStage, image::RgbImage};
    /// # use pipeline_store::{Outcome, Store, StoreConfig};
    /// # use std::{io::Write, time::Duration};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # let mut ids = Vec::new();
    /// # for side in [64, 60] {
    /// #     let stage = ThumbnailStage::new([ThumbnailSpec::new("cat", side)]);
    /// #     let jpeg = stage.run(&Decoded::from(RgbImage::new(64, 64)), &Cx::none())?.remove(0).jpeg;
    /// #     let mut upload = store.begin_upload()?;
    /// #     upload.write_all(&jpeg)?;
    /// #     ids.push(store.accept(upload, "cat.jpg")?);
    /// #     let job = store.claim("worker-1")?.expect("one image waits");
    /// #     let found = ImagePipeline::builder().build().process(&store.original(&job)?, &Cx::none())?;
    /// #     let outcome = Outcome { metadata: &found.metadata, thumbnails: &[], caption: None, caption_error: None };
    /// #     store.complete(&job, &outcome, Duration::ZERO)?;
    /// # }
    /// # let (large, small) = (ids[0], ids[1]);
    /// // The same picture in two sizes, with at most 8 bits of difference, 10 images at the most.
    /// let similar = store.similar(large, 8, 10)?.expect("it is there");
    /// assert_eq!(similar[0].image.id, small);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn similar(
        &self,
        id: ImageId,
        max_distance: u32,
        limit: usize,
    ) -> Result<Option<Vec<Similar>>> {
        let found =
            self.inner
                .db
                .read("find similar images", |tx| match images::find(tx, id)? {
                    Some((seq, _)) => find::similar(tx, seq, max_distance, limit).map(Some),
                    None => Ok(None),
                })?;
        let similar = |(distance, image)| Similar { distance, image };
        Ok(found.map(|found| found.into_iter().map(similar).collect()))
    }

    /// Takes the result of an image away, except for its captions, and queues it; `false` if there is no such image. All
    /// is done again, whatever is known of the same bytes.
    ///
    /// ```
    /// # use pipeline_store::{Store, StoreConfig};
    /// # use std::time::Duration;
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # let id = store.accept(store.begin_upload()?, "cat.jpg")?;
    /// # let job = store.claim("worker-1")?.expect("one image waits");
    /// # store.fail(&job, "unknown-format", "not a picture", Duration::ZERO)?;
    /// assert!(store.reprocess(id)?);
    /// assert_eq!(store.reprocess(id).unwrap_err().code(), "image-in-work"); // once is enough
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InWork`] if it is in work; if the database cannot be written.
    pub fn reprocess(&self, id: ImageId) -> Result<bool> {
        match self
            .inner
            .db
            .read("find an image", |tx| images::find(tx, id))?
        {
            None => Ok(false),
            Some((_, true)) => Err(Error::InWork { id }),
            Some((seq, false)) => match self.reopen(&[seq])? {
                // It went into work, or away, in between.
                0 if self.image(id)?.is_some() => Err(Error::InWork { id }),
                queued => Ok(queued == 1),
            },
        }
    }

    /// [`Store::reprocess`] for all images that `filter` holds for and that are not in work; with `dry_run`, only counts
    /// them.
    ///
    /// ```
    /// use pipeline_store::{Filter, Status};
    /// # use pipeline_store::{Store, StoreConfig};
    /// # use std::time::Duration;
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # let id = store.accept(store.begin_upload()?, "cat.jpg")?;
    /// # let job = store.claim("worker-1")?.expect("one image waits");
    /// # store.fail(&job, "unknown-format", "not a picture", Duration::ZERO)?;
    ///
    /// let failed = Filter { status: Some(Status::Failed), ..Filter::default() };
    /// let would = store.reprocess_all(&failed, true)?; // a dry run
    /// assert_eq!((would.matched, would.queued), (1, 0));
    /// assert_eq!(store.reprocess_all(&failed, false)?.queued, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be read or written; some of the images may be queued by then.
    pub fn reprocess_all(&self, filter: &Filter, dry_run: bool) -> Result<Reprocessed> {
        let found = self
            .inner
            .db
            .read("find images", |tx| find::at_rest(tx, filter))?;
        let mut done = Reprocessed {
            matched: found.len() as u64,
            queued: 0,
        };
        if !dry_run {
            for batch in found.chunks(BATCH) {
                done.queued += self.reopen(batch)?;
            }
        }
        Ok(done)
    }

    /// Puts those of the images back to work that are not, and returns how many these are.
    fn reopen(&self, seqs: &[i64]) -> Result<u64> {
        const OP: &str = "queue images again";
        let Inner { db, blobs, .. } = &*self.inner;
        // Notes first, since the rows go before the files. Those of images that have no files are for nothing.
        let ids = db.read(OP, |tx| {
            let id = |seq: &i64| images::id(tx, *seq);
            let ids: rusqlite::Result<Vec<_>> = seqs.iter().map(id).collect();
            ids
        })?;
        let mut doubts = Vec::new();
        for id in ids.into_iter().flatten() {
            doubts.push((id, blobs.doubt(id)?));
        }
        blobs.sync_doubts()?;
        let opened = db.write(OP, |tx| {
            let mut opened = Vec::new();
            for (id, _) in &doubts {
                if let Some((seq, false)) = images::find(tx, *id)? {
                    let files = images::thumbnail_files(tx, seq)?;
                    images::reopen(tx, seq)?;
                    jobs::enqueue_again(tx, seq, true)?;
                    opened.push((*id, files));
                }
            }
            Ok(opened)
        })?;
        for (id, doubt) in doubts {
            let files = opened.iter().find(|(opened, _)| *opened == id);
            if let Some((_, files)) = files {
                blobs.remove_thumbnails(id, files, doubt);
            }
        }
        Ok(opened.len() as u64)
    }
}
