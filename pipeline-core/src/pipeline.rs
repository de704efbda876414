//! What callers hold, and the stock pipeline.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::fingerprint;
use crate::{
    BoxStage, Caption, CaptionStage, Cx, Decode, Decoded, Fingerprint, FingerprintStage, Limits,
    MemoryBudget, Metadata, MetadataStage, Result, Source, Stage, StageExt, StageObserver,
    Thumbnail, ThumbnailSpec, ThumbnailStage,
};

/// Encoded bytes in, a typed result out. Every `Stage<Source>` is a `Pipeline`; do not implement it yourself.
///
/// ```
/// use pipeline_core::{Cx, MetadataStage, Pipeline, Source};
///
/// // A function for any pipeline: the stock one, a single stage, a chain of your own.
/// fn failures(pipeline: &impl Pipeline, sources: &[Source]) -> usize {
///     let results = pipeline.process_batch(sources, &Cx::none());
///     results.iter().filter(|result| result.is_err()).count()
/// }
///
/// let sources = [Source::from("not a picture"), Source::from("nor is this")];
/// assert_eq!(failures(&MetadataStage::new(), &sources), 2);
/// assert!(MetadataStage::new().process(&sources[0], &Cx::none()).is_err());
/// ```
///
/// # Blocking
/// `process` uses the calling thread until it is done; call it from a thread that may block.
pub trait Pipeline: Send + Sync {
    /// What the pipeline makes of one picture.
    type Output: Send;

    /// Processes one picture.
    ///
    /// # Errors
    /// The first error of a stage that was not wrapped in [`StageExt::attempt`].
    fn process(&self, source: &Source, cx: &Cx) -> Result<Self::Output>;

    /// Processes several pictures; one result for each, in order.
    fn process_batch(&self, sources: &[Source], cx: &Cx) -> Vec<Result<Self::Output>>;
}

impl<S: Stage<Source> + ?Sized> Pipeline for S {
    type Output = S::Out;

    fn process(&self, source: &Source, cx: &Cx) -> Result<S::Out> {
        self.run(source, cx)
    }

    fn process_batch(&self, sources: &[Source], cx: &Cx) -> Vec<Result<S::Out>> {
        self.run_batch(&sources.iter().collect::<Vec<_>>(), cx)
    }
}

/// All that the stock pipeline finds out about one picture.
///
/// ```
/// use pipeline_core::{Cx, ImagePipeline, Pipeline, Source, ThumbnailSpec};
///
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("cat.png");
/// # pipeline_core::image::RgbImage::new(640, 480).save(&path).expect("a picture can be written");
/// let pipeline = ImagePipeline::builder().thumbnails([ThumbnailSpec::new("small", 256)]).build();
/// let analysis = pipeline.process(&Source::from_path(&path)?, &Cx::none())?;
/// assert_eq!(analysis.thumbnails[0].width, 256);
/// assert!(analysis.metadata.fingerprint.is_some());
/// assert!(analysis.caption.is_none()); // no captioner
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Analysis {
    /// Facts from the header, and the fingerprint of the pixels.
    pub metadata: Metadata,
    /// One for each [`ThumbnailSpec`], in their order.
    pub thumbnails: Vec<Thumbnail>,
    /// `None` without a captioner. A caption that failed does not fail the rest.
    pub caption: Option<Result<Caption>>,
}

/// What the stock pipeline has found out about a picture so far, for [`Cx::with_progress`].
///
/// ```
/// use pipeline_core::{Cx, Progress};
///
/// let cx = Cx::none().with_progress(|progress| match progress {
///     Progress::Metadata(metadata) => println!("{} × {}", metadata.width, metadata.height),
///     Progress::Thumbnails { thumbnails, .. } => println!("{} thumbnails", thumbnails.len()),
///     _ => {}
/// });
/// # drop(cx);
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// The header is read; the fingerprint comes with the thumbnails.
    Metadata(&'a Metadata),
    /// All is done but the caption.
    Thumbnails {
        /// One for each [`ThumbnailSpec`], in their order.
        thumbnails: &'a [Thumbnail],
        /// Of the same pixels.
        fingerprint: &'a Fingerprint,
    },
}

/// The stock pipeline: metadata from the header, one decode, and from its pixels thumbnails, a fingerprint and a
/// caption.
///
/// It is made of the same stages and adapters that you have; a panic in any of them is an error of that picture.
///
/// ```
/// use pipeline_core::{Cx, ImagePipeline, Pipeline, Source, ThumbnailSpec};
///
/// let pipeline = ImagePipeline::builder().thumbnails([ThumbnailSpec::new("small", 256)]).build();
/// let error = pipeline.process(&Source::from("not a picture"), &Cx::none()).unwrap_err();
/// assert_eq!(error.code(), "unknown-format");
/// ```
pub struct ImagePipeline {
    stages: BoxStage<Source, Analysis>,
    captions: Option<BoxStage<Source, Caption>>,
}

impl ImagePipeline {
    /// A pipeline with default [`Limits`], no thumbnails and no captions, to be added to.
    pub fn builder() -> ImagePipelineBuilder {
        ImagePipelineBuilder {
            limits: Limits::default(),
            budget: None,
            thumbnails: Vec::new(),
            captions: None,
            observer: None,
        }
    }

    /// Writes the caption alone, the same as [`Pipeline::process`] does; `None` without a captioner. For a picture whose
    /// metadata and thumbnails are there already.
    ///
    /// ```
    /// # use pipeline_core::{Caption, Captioner, Result, image::RgbImage};
    /// # struct Ruler;
    /// # impl Captioner for Ruler {
    /// #     fn model(&self) -> &str { "ruler-1" }
    /// #     fn caption(&self, picture: &RgbImage, _cx: &Cx) -> Result<Caption> {
    /// #         Ok(Caption::new(format!("{} pixels wide", picture.width()), self.model()))
    /// #     }
    /// # }
    /// use pipeline_core::{CaptionStage, Cx, ImagePipeline, Source};
    ///
    /// # let folder = tempfile::tempdir().expect("a temporary folder");
    /// # let path = folder.path().join("cat.png");
    /// # RgbImage::new(64, 48).save(&path).expect("a picture can be written");
    /// let pipeline = ImagePipeline::builder().captions(CaptionStage::new(Ruler)).build();
    /// let caption = pipeline.caption(&Source::from_path(&path)?, &Cx::none()).expect("captions are on")?;
    /// assert_eq!(caption.text, "64 pixels wide");
    /// # Ok::<(), pipeline_core::Error>(())
    /// ```
    pub fn caption(&self, source: &Source, cx: &Cx) -> Option<Result<Caption>> {
        let captions = self.captions.as_ref()?;
        Some(captions.run(source, cx))
    }
}

impl fmt::Debug for ImagePipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImagePipeline").finish_non_exhaustive()
    }
}

#[deny(clippy::missing_trait_methods)]
impl Stage<Source> for ImagePipeline {
    type Out = Analysis;

    fn name(&self) -> &'static str {
        "image-pipeline"
    }

    fn run(&self, source: &Source, cx: &Cx) -> Result<Analysis> {
        self.stages.run(source, cx)
    }

    fn run_batch(&self, sources: &[&Source], cx: &Cx) -> Vec<Result<Analysis>> {
        self.stages.run_batch(sources, cx)
    }
}

/// The settings of an [`ImagePipeline`]; made by [`ImagePipeline::builder`].
///
/// ```
/// # use pipeline_core::{Caption, Captioner, Cx, Result, image::RgbImage};
/// # struct MyModel;
/// # impl Captioner for MyModel {
/// #     fn model(&self) -> &str { "my-model-2" }
/// #     fn caption(&self, _: &RgbImage, _: &Cx) -> Result<Caption> { Ok(Caption::new("", "my-model-2")) }
/// # }
/// use pipeline_core::{CaptionStage, ImagePipeline, Limits, MemoryBudget, ThumbnailSpec};
///
/// let budget = MemoryBudget::new(512 << 20);
/// let pipeline = ImagePipeline::builder()
///     .limits(Limits { max_pixels: 50_000_000, ..Limits::default() })
///     .memory(&budget)
///     .thumbnails([ThumbnailSpec::new("small", 256), ThumbnailSpec::new("medium", 512)])
///     .captions(CaptionStage::new(MyModel)) // with the feature `tiny`: Blip::tiny()?
///     .observe(|stage, took| println!("{stage}: {took:?}"))
///     .build();
/// # drop(pipeline);
/// ```
#[derive(Clone)]
#[must_use]
pub struct ImagePipelineBuilder {
    limits: Limits,
    budget: Option<MemoryBudget>,
    thumbnails: Vec<ThumbnailSpec>,
    captions: Option<CaptionStage>,
    observer: Option<StageObserver>,
}

impl fmt::Debug for ImagePipelineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImagePipelineBuilder")
            .field("limits", &self.limits)
            .field("budget", &self.budget)
            .field("thumbnails", &self.thumbnails)
            .field("captions", &self.captions)
            .finish_non_exhaustive()
    }
}

impl ImagePipelineBuilder {
    /// Replaces the default limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Takes the memory for decoding out of a budget that other pipelines may share.
    pub fn memory(mut self, budget: &MemoryBudget) -> Self {
        self.budget = Some(budget.clone());
        self
    }

    /// Replaces the list of thumbnails.
    pub fn thumbnails(mut self, specs: impl IntoIterator<Item = ThumbnailSpec>) -> Self {
        self.thumbnails = specs.into_iter().collect();
        self
    }

    /// Switches captions on.
    pub fn captions(mut self, captions: CaptionStage) -> Self {
        self.captions = Some(captions);
        self
    }

    /// Tells `observer` how long each stage took, under the names `metadata`, `decode`, `thumbnail`,
    /// `fingerprint` and `caption`.
    ///
    /// ```
    /// # use pipeline_core::{Cx, ImagePipeline, Pipeline, Source};
    /// let pipeline = ImagePipeline::builder().observe(|stage, took| println!("{stage}: {took:?}")).build();
    /// assert!(pipeline.process(&Source::from("no picture"), &Cx::none()).is_err()); // metadata: 1.2µs
    /// ```
    pub fn observe(
        mut self,
        observer: impl Fn(&'static str, Duration) + Send + Sync + 'static,
    ) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Puts the stages together.
    pub fn build(self) -> ImagePipeline {
        let mut decode = Decode::new(self.limits);
        if let Some(budget) = &self.budget {
            decode = decode.with_budget(budget);
        }
        // Whoever looks at the pixels says how many it wants; without a word from the captioner, it gets them all.
        let boxes = self.thumbnails.iter().map(|spec| spec.box_side);
        let longest_box = boxes.fold(fingerprint::SIDE, u32::max);
        let caption_side = self.captions.as_ref().map_or(Some(0), CaptionStage::detail);
        if let Some(shorter) = caption_side {
            decode = decode.keep_at_least(longest_box, shorter);
        }
        let observer = || self.observer.clone();
        let decode = decode.catch_panic().timed(observer());
        let captions = self
            .captions
            .map(|captions| captions.catch_panic().timed(observer()));
        let metadata = MetadataStage::new()
            .with_limits(self.limits)
            .catch_panic()
            .timed(observer());
        let shown = (
            ThumbnailStage::new(self.thumbnails)
                .catch_panic()
                .timed(observer()),
            FingerprintStage::new().catch_panic().timed(observer()),
        );
        let pictures = (
            Told::new::<Decoded>(shown, |(thumbnails, fingerprint)| Progress::Thumbnails {
                thumbnails,
                fingerprint,
            }),
            captions.clone().map(|captions| captions.attempt()),
        );
        let stages = (
            Told::new::<Source>(metadata, |metadata| Progress::Metadata(metadata)),
            decode.clone().then(pictures),
        )
            .map(
                |(metadata, ((thumbnails, fingerprint), caption))| Analysis {
                    metadata: Metadata {
                        fingerprint: Some(fingerprint),
                        ..metadata
                    },
                    thumbnails,
                    caption,
                },
            )
            .boxed();
        ImagePipeline {
            stages,
            captions: captions.map(|captions| decode.then(captions).boxed()),
        }
    }
}

/// A stage that tells the [`Cx`] what it found.
struct Told<S, T> {
    stage: S,
    tell: T,
}

impl<S, T> Told<S, T> {
    /// The bound is that of the implementation: a closure learns its type here.
    fn new<In: ?Sized>(stage: S, tell: T) -> Self
    where
        S: Stage<In>,
        T: Fn(&S::Out) -> Progress<'_>,
    {
        Self { stage, tell }
    }
}

#[deny(clippy::missing_trait_methods)]
impl<In: ?Sized, S, T> Stage<In> for Told<S, T>
where
    S: Stage<In>,
    T: Fn(&S::Out) -> Progress<'_> + Send + Sync,
{
    type Out = S::Out;

    fn name(&self) -> &'static str {
        self.stage.name()
    }

    fn run(&self, input: &In, cx: &Cx) -> Result<S::Out> {
        let found = self.stage.run(input, cx)?;
        cx.tell((self.tell)(&found));
        Ok(found)
    }

    fn run_batch(&self, inputs: &[&In], cx: &Cx) -> Vec<Result<S::Out>> {
        self.stage.run_batch(inputs, cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::Mutex;

    use image::{ImageFormat, RgbImage};

    use super::*;
    use crate::Captioner;

    /// Writes the picture's width.
    struct Measure(Arc<Mutex<Vec<&'static str>>>);

    impl Captioner for Measure {
        fn model(&self) -> &str {
            "measure"
        }

        fn caption(&self, picture: &RgbImage, _cx: &Cx) -> Result<Caption> {
            self.0.lock().unwrap().push("caption");
            Ok(Caption::new(format!("{} wide", picture.width()), "measure"))
        }
    }

    fn source() -> Source {
        let mut file = Cursor::new(Vec::new());
        let picture = RgbImage::from_pixel(40, 30, image::Rgb([9, 8, 7]));
        picture.write_to(&mut file, ImageFormat::Png).unwrap();
        Source::from(file.into_inner())
    }

    #[test]
    fn what_is_done_is_told_before_the_caption_is_written() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let pipeline = ImagePipeline::builder()
            .thumbnails([ThumbnailSpec::new("small", 8)])
            .captions(CaptionStage::new(Measure(Arc::clone(&told))))
            .build();
        let list = Arc::clone(&told);
        let cx = Cx::none().with_progress(move |progress| {
            list.lock().unwrap().push(match progress {
                Progress::Metadata(metadata) => {
                    assert_eq!((metadata.width, metadata.height), (40, 30));
                    "metadata"
                }
                Progress::Thumbnails { thumbnails, .. } => {
                    assert_eq!(thumbnails[0].width, 8);
                    "thumbnails"
                }
            });
        });
        let whole = pipeline.process(&source(), &cx).unwrap();
        assert_eq!(*told.lock().unwrap(), ["metadata", "thumbnails", "caption"]);
        let alone = pipeline.caption(&source(), &Cx::none()).unwrap().unwrap();
        assert_eq!(alone, whole.caption.unwrap().unwrap());
        assert_eq!(told.lock().unwrap().len(), 4, "nothing else was done again");
    }

    #[test]
    fn without_a_captioner_there_is_no_caption() {
        let pipeline = ImagePipeline::builder().build();
        assert!(pipeline.caption(&source(), &Cx::none()).is_none());
    }
}
