//! Results before the end of the work: what a stage found is stored as soon as it is there, and need not be found again.

use std::time::Duration;

use pipeline_core::{Caption, Metadata, Thumbnail};

use super::work::held;
use super::{Inner, Store};
use crate::{
    CaptionerId, ImageState, Job, Result, StageName, captions, images, jobs, read, stages,
};

/// What an earlier attempt has found out about an image: all but the caption.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Kept {
    /// Facts from the header, with the fingerprint.
    pub metadata: Metadata,
}

/// All that was found out about another image of the same bytes.
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
