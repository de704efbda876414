//! The work on one file: read it, run the pipeline, write what is wanted beside it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use pipeline_core::{
    CancelToken, CaptionStage, Cx, Error as CoreError, ImagePipeline, Pipeline, Source, Thumbnail,
};

use super::crew::Task;
use super::record::{Record, shown};
use super::sidecar::{Sidecars, Written};
use super::write::write_whole;
use crate::runner::{Finished, Stop};
use crate::{Config, pictures};

/// Knows how to make a record of a file.
#[derive(Debug)]
pub(super) struct Analyst {
    pipeline: ImagePipeline,
    config: Config,
    output: Output,
}

/// What is written beside the records.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) sidecars: Arc<Sidecars>,
    pub(super) thumbnails: Option<PathBuf>,
    /// The folder that paths of thumbnails start from, with all links resolved.
    pub(super) here: PathBuf,
}

impl Analyst {
    /// Does with pictures what a server with this `config` does.
    pub(super) fn new(config: Config, captions: Option<CaptionStage>, output: Output) -> Self {
        Self {
            pipeline: pictures::pipeline(&config, captions, |_, _| {}),
            config,
            output,
        }
    }

    /// What there is to say about a file.
    pub(super) fn record(&self, task: &Task, stop: &CancelToken) -> Result<Record, Stop> {
        let record = self.analyse(task, stop);
        // What was said beside a file that fails now is true no more.
        if let Err(Stop::Failed { .. } | Stop::Unreadable { .. }) = record {
            let removed = self.output.sidecars.remove(&task.path);
            removed.map_err(|error| unwritten(&task.path, &error))?;
        }
        record
    }

    fn analyse(&self, task: &Task, stop: &CancelToken) -> Result<Record, Stop> {
        let timeout = self.config.picture_timeout;
        let cx = Cx::none().with_timeout(timeout).with_cancel(stop);
        let source = self.read(task)?;
        let finished = self
            .pipeline
            .process(&source, &cx)
            .map_err(Stop::from)
            .and_then(|analysis| Finished::new(analysis, self.config.optional_captions))
            .map_err(|stop| match stop {
                Stop::Failed { code, .. } if code == CoreError::DeadlineExceeded.code() => {
                    let limit = timeout.as_secs_f64();
                    let message = format!("the work on this picture took longer than {limit} s");
                    Stop::Failed { code, message }
                }
                stop => stop,
            })?;
        let thumbnails = finished.thumbnails.clone();
        let mut record = Record::success(&task.path, &source, finished, self.config.show_location);
        for thumbnail in &thumbnails {
            if let Some(folder) = &self.output.thumbnails {
                let path = self.write_thumbnail(folder, task, thumbnail)?;
                let name = thumbnail.name.to_string();
                record.thumbnails.insert(name, shown(&path).into());
            }
        }
        self.write_sidecar(task, &record)?;
        Ok(record)
    }

    /// Reads the file, and not more of it than a picture may have.
    fn read(&self, task: &Task) -> Result<Source, Stop> {
        let failed = |source| CoreError::Io {
            path: task.path.clone(),
            source: Arc::new(source),
        };
        let limits = pictures::limits(&self.config);
        limits.check_bytes(task.stamp.size)?;
        let mut bytes = Vec::new();
        let file = File::open(&task.path).map_err(failed)?;
        let most = limits.max_bytes.saturating_add(1);
        file.take(most).read_to_end(&mut bytes).map_err(failed)?;
        limits.check_bytes(bytes.len() as u64)?;
        Ok(Source::from(bytes))
    }

    fn write_thumbnail(
        &self,
        folder: &Path,
        task: &Task,
        thumbnail: &Thumbnail,
    ) -> Result<PathBuf, Stop> {
        let mut path = folder
            .join(place(&task.stamp.real, &self.output.here))
            .into_os_string();
        path.push(format!(".{}.jpg", thumbnail.name));
        let path = PathBuf::from(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| write_whole(&path, &thumbnail.jpeg))
            .map_err(|error| unwritten(&path, &error))?;
        Ok(path)
    }

    fn write_sidecar(&self, task: &Task, record: &Record) -> Result<(), Stop> {
        match self.output.sidecars.write(&task.path, record) {
            Ok(Written::Yes) => Ok(()),
            Ok(Written::Another(path)) => Err(Stop::Failed {
                code: "sidecar-exists",
                message: format!(
                    "{} is there and holds something else; --overwrite replaces it",
                    shown(&path)
                ),
            }),
            Err(error) => Err(unwritten(&task.path, &error)),
        }
    }
}

/// Where below the folder of thumbnails those of the file `real` go: as it lies below `here`, or from the root.
fn place(real: &Path, here: &Path) -> PathBuf {
    if let Ok(below) = real.strip_prefix(here) {
        return below.to_owned();
    }
    let normal = real
        .components()
        .filter(|part| matches!(part, Component::Normal(_)));
    Path::new("_root").join(normal.collect::<PathBuf>())
}

fn unwritten(path: &Path, error: &io::Error) -> Stop {
    Stop::Failed {
        code: "cannot-write",
        message: format!("cannot write beside {}: {error}", shown(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbnails_lie_as_their_pictures_do() {
        let here = Path::new("/home/me");
        assert_eq!(
            place(Path::new("/home/me/a/b.jpg"), here),
            Path::new("a/b.jpg")
        );
        assert_eq!(
            place(Path::new("/srv/b.jpg"), here),
            Path::new("_root/srv/b.jpg")
        );
    }
}
