//! Results before the end of the work: what a stage found is stored as soon as it is there, and need not be found again.

use std::time::Duration;

use pipeline_core::{Caption, Metadata, Thumbnail};

use super::work::held;
use super::{Inner, Store};
use crate::{
    CaptionerId, ImageState, Job, Result, StageName, captions, images, jobs, read, stages,
};

/// What an earlier attempt has found out about an image: all but the caption.
///
/// ```
/// use pipeline_store::{Job, Kept, Result, Store};
///
/// /// The size of the picture, if an earlier attempt has found it out.
/// fn size(store: &Store, job: &Job) -> Result<Option<(u32, u32)>> {
///     let size = |Kept { metadata, .. }| (metadata.width, metadata.height);
///     Ok(store.kept(job)?.map(size))
/// }
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), &Default::default())?;
/// # store.accept(store.begin_upload()?, "cat.jpg")?;
/// # assert_eq!(size(&store, &store.claim("worker-1")?.expect("one image waits"))?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Kept {
    /// Facts from the header, with the fingerprint.
    pub metadata: Metadata,
}

/// All that was found out about another image of the same bytes.
///
/// ```
/// use pipeline_store::{Outcome, Reused};
///
/// /// The form in which `Store::complete` takes it.
/// fn outcome(reused: &Reused) -> Outcome<'_> {
///     Outcome {
///         metadata: &reused.metadata,
///         thumbnails: &reused.thumbnails,
///         caption: Some(&reused.caption),
///         caption_error: None,
///     }
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Reused {
    /// Facts from the header, with the fingerprint.
    pub metadata: Metadata,
    /// The thumbnails.
    pub thumbnails: Vec<Thumbnail>,
    /// What the model wrote, whether or not a person has written something else since.
    pub caption: Caption,
}

impl Store {
    /// Stores the metadata of an image in work, and how long that took. It survives the end of the process.
    ///
    /// ```
    /// # use pipeline_core::{Cx, Decoded, MetadataStage, Stage, ThumbnailSpec, ThumbnailStage, image::RgbImage};
    /// # use pipeline_store::{Store, StoreConfig};
    /// # use std::{io::Write, time::Duration};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # let stage = ThumbnailStage::new([ThumbnailSpec::new("cat", 64)]);
    /// # let jpeg = stage.run(&Decoded::from(RgbImage::new(64, 48)), &Cx::none())?.remove(0).jpeg;
    /// # let mut upload = store.begin_upload()?;
    /// # upload.write_all(&jpeg)?;
    /// # let id = store.accept(upload, "cat.jpg")?;
    /// let job = store.claim("worker-1")?.expect("one image waits");
    /// let metadata = MetadataStage::new().run(&store.original(&job)?, &Cx::none())?;
    /// store.keep_metadata(&job, &metadata, Duration::from_micros(20))?;
    /// // Everybody can see it while the work goes on.
    /// let partial = store.image(id)?.and_then(|image| image.partial).expect("it is in work");
    /// assert_eq!(partial.metadata, Some(metadata));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::JobLost`](crate::Error::JobLost) if the job is no longer the caller's; nothing is stored then. After any other error the work
    /// can go on: [`Store::complete`] stores it.
    pub fn keep_metadata(&self, job: &Job, metadata: &Metadata, took: Duration) -> Result<()> {
        let kept = self.inner.db.write_early("store the metadata", |tx| {
            let held = jobs::is_held(tx, job)?;
            if held {
                images::set_metadata(tx, job.seq, metadata)?;
                stages::finish(tx, job, StageName::Metadata, Some(took), None)?;
            }
            Ok(held)
        })?;
        held(kept, job)
    }

    /// Stores the thumbnails of an image in work with its metadata, which has its fingerprint by now, and how long that
    /// took. It survives the end of the process.
    ///
    /// ```
    /// # use pipeline_core::{Cx, Decoded, ImagePipeline, Pipeline, Stage, ThumbnailSpec, ThumbnailStage, image::RgbImage};
    /// # use pipeline_store::{Store, StoreConfig};
    /// # use std::{io::Write, time::Duration};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # let stage = ThumbnailStage::new([ThumbnailSpec::new("cat", 64)]);
    /// # let jpeg = stage.run(&Decoded::from(RgbImage::new(64, 48)), &Cx::none())?.remove(0).jpeg;
    /// # let mut upload = store.begin_upload()?;
    /// # upload.write_all(&jpeg)?;
    /// # let id = store.accept(upload, "cat.jpg")?;
    /// # let pipeline = ImagePipeline::builder().thumbnails([ThumbnailSpec::new("small", 32)]).build();
    /// let job = store.claim("worker-1")?.expect("one image waits");
    /// let found = pipeline.process(&store.original(&job)?, &Cx::none())?;
    /// store.keep_thumbnails(&job, &found.metadata, &found.thumbnails, Duration::from_millis(4))?;
    /// assert!(store.thumbnail(id, "small")?.is_some()); // though the caption is still to come
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Store::keep_metadata`].
    pub fn keep_thumbnails(
        &self,
        job: &Job,
        metadata: &Metadata,
        thumbnails: &[Thumbnail],
        took: Duration,
    ) -> Result<()> {
        const OP: &str = "store the thumbnails";
        let Inner { db, blobs, .. } = &*self.inner;
        held(db.read(OP, |tx| jobs::is_held(tx, job))?, job)?;
        let doubt = blobs.doubt(job.id)?;
        let stored = blobs.put_thumbnails(job, thumbnails).and_then(|files| {
            let kept = db.write_early(OP, |tx| {
                let held = jobs::is_held(tx, job)?;
                if held {
                    images::set_metadata(tx, job.seq, metadata)?;
                    images::add_thumbnails(tx, job.seq, thumbnails, &files)?;
                    stages::finish(tx, job, StageName::Thumbnails, Some(took), None)?;
                    jobs::set_prepared(tx, job)?;
                }
                Ok(held)
            })?;
            held(kept, job)
        });
        if stored.is_err() {
            blobs.take_back_thumbnails(job, thumbnails.len(), doubt);
        }
        stored
    }

    /// Stores how long a stage of an image in work took, and the code of its failure if it failed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use pipeline_store::{StageName, StageState};
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # let id = store.accept(store.begin_upload()?, "cat.jpg")?;
    ///
    /// let job = store.claim("worker-1")?.expect("one image waits");
    /// store.time_stage(&job, StageName::Metadata, Duration::from_millis(1), Some("unknown-format"))?;
    /// let stages = store.image(id)?.expect("it is there").stages;
    /// assert_eq!(stages.metadata.state, StageState::Failed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::JobLost`](crate::Error::JobLost) if the job is no longer the caller's.
    pub fn time_stage(
        &self,
        job: &Job,
        stage: StageName,
        took: Duration,
        error_code: Option<&str>,
    ) -> Result<()> {
        let timed = self.inner.db.write_early("store a time", |tx| {
            let held = jobs::is_held(tx, job)?;
            if held {
                stages::finish(tx, job, stage, Some(took), error_code)?;
            }
            Ok(held)
        })?;
        held(timed, job)
    }

    /// What an earlier attempt at this job has kept: metadata and thumbnails, or nothing.
    ///
    /// ```
    /// # use pipeline_core::{Cx, Decoded, ImagePipeline, Pipeline, Stage, ThumbnailSpec, ThumbnailStage, image::RgbImage};
    /// # use pipeline_store::{Store, StoreConfig};
    /// # use std::{io::Write, time::Duration};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # let stage = ThumbnailStage::new([ThumbnailSpec::new("cat", 64)]);
    /// # let jpeg = stage.run(&Decoded::from(RgbImage::new(64, 48)), &Cx::none())?.remove(0).jpeg;
    /// # let mut upload = store.begin_upload()?;
    /// # upload.write_all(&jpeg)?;
    /// # store.accept(upload, "cat.jpg")?;
    /// # let job = store.claim("worker-1")?.expect("one image waits");
    /// # let analysis = ImagePipeline::builder().build().process(&store.original(&job)?, &Cx::none())?;
    /// # store.keep_thumbnails(&job, &analysis.metadata, &analysis.thumbnails, Duration::ZERO)?;
    /// # store.release(&job)?;
    /// // The process ended after the thumbnails; this is the next one.
    /// let job = store.claim("worker-2")?.expect("it waits again");
    /// let kept = store.kept(&job)?.expect("the thumbnails were kept");
    /// assert_eq!(kept.metadata.width, 64); // only the caption is left to do
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn kept(&self, job: &Job) -> Result<Option<Kept>> {
        let record = self.inner.db.read("read an image", |tx| {
            match stages::is_done(tx, job.seq, StageName::Thumbnails)? {
                true => read::get(tx, job.id),
                false => Ok(None),
            }
        })?;
        let metadata = record
            .and_then(|record| record.partial)
            .and_then(|partial| partial.metadata);
        Ok(metadata.map(|metadata| Kept { metadata }))
    }

    /// All that was found out about another image of the same bytes, with a caption by exactly this captioner; `None` if
    /// there is no such image, or if this one was asked to be done again.
    ///
    /// ```
    /// # use pipeline_core::{Caption, Cx, Decoded, ImagePipeline, Pipeline, Stage, ThumbnailSpec, ThumbnailStage, image::RgbImage};
    /// # use pipeline_store::{CaptionerId, Outcome, Store, StoreConfig};
    /// # use std::{io::Write, time::Duration};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # let stage = ThumbnailStage::new([ThumbnailSpec::new("cat", 64)]);
    /// # let jpeg = stage.run(&Decoded::from(RgbImage::new(64, 48)), &Cx::none())?.remove(0).jpeg;
    /// # for name in ["cat.jpg", "the-same-cat.jpg"] {
    /// #     let mut upload = store.begin_upload()?;
    /// #     upload.write_all(&jpeg)?;
    /// #     store.accept(upload, name)?;
    /// # }
    /// # let job = store.claim("worker-1")?.expect("two images wait");
    /// # let analysis = ImagePipeline::builder().build().process(&store.original(&job)?, &Cx::none())?;
    /// # let captioner = CaptionerId { model: "my-model-2".into(), weights_sha256: "0".repeat(64), settings: None };
    /// # let mut caption = Caption::new("a cat", "my-model-2");
    /// # caption.weights_sha256 = Some("0".repeat(64));
    /// # let outcome = Outcome { metadata: &analysis.metadata, thumbnails: &[], caption: Some(&caption), caption_error: None };
    /// # store.complete(&job, &outcome, Duration::ZERO)?;
    /// // The same bytes were captioned by this captioner before.
    /// let job = store.claim("worker-1")?.expect("the second one waits");
    /// let reused = store.reusable(&job, &captioner)?.expect("nothing has to be done again");
    /// assert_eq!(reused.caption.text, "a cat");
    /// let outcome = Outcome {
    ///     metadata: &reused.metadata,
    ///     thumbnails: &reused.thumbnails,
    ///     caption: Some(&reused.caption),
    ///     caption_error: None,
    /// };
    /// store.complete(&job, &outcome, Duration::ZERO)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn reusable(&self, job: &Job, captioner: &CaptionerId) -> Result<Option<Reused>> {
        const OP: &str = "look for the same bytes";
        let Inner { db, blobs, .. } = &*self.inner;
        if job.again {
            return Ok(None);
        }
        let found = db.read(OP, |tx| {
            for (seq, id) in images::twins(tx, job.seq)? {
                let caption = captions::by(tx, seq, captioner)?;
                let record = read::get(tx, id)?;
                if let Some((caption, record)) = caption.zip(record) {
                    return Ok(Some((caption, record, images::thumbnail_files(tx, seq)?)));
                }
            }
            Ok(None)
        })?;
        let Some((caption, record, files)) = found else {
            return Ok(None);
        };
        let ImageState::Success {
            metadata,
            thumbnails,
            ..
        } = record.state
        else {
            return Ok(None);
        };
        let read = |(info, file): (crate::ThumbnailInfo, &String)| {
            let jpeg = blobs.read_thumbnail(record.id, file)?;
            (jpeg.len() as u64 == info.size_bytes).then(|| Thumbnail {
                name: info.name.into(),
                width: info.width,
                height: info.height,
                jpeg: jpeg.into(),
            })
        };
        // One that is gone, such as that of an image that is being deleted, is made anew with all others.
        let thumbnails: Option<Vec<Thumbnail>> =
            thumbnails.into_iter().zip(&files).map(read).collect();
        Ok(thumbnails.map(|thumbnails| Reused {
            metadata,
            thumbnails,
            caption: caption.to_caption(),
        }))
    }
}
