//! The unit of work, and how units combine into larger ones with their types kept.

mod attempt;
mod catch_panic;
mod forward;
mod map;
mod option;
mod stage_fn;
mod then;
mod timed;
mod tuple;

pub use attempt::Attempt;
pub use catch_panic::CatchPanic;
pub(crate) use catch_panic::catch_panic;
pub use map::Map;
pub use stage_fn::{StageFn, stage_fn};
pub use then::Then;
pub use timed::{StageObserver, Timed};

use crate::{Cx, Result};

/// One step of work on an image: a synchronous, thread-safe function from `&In` to `Out`.
///
/// A tuple of stages is a stage whose output is the tuple of their outputs; an `Option` of a stage is a stage whose
/// output is an `Option`; [`StageExt`] has the adapters.
///
/// # Contract
/// For those who implement it. Callers enjoy [`StageExt`] and [`Pipeline`](crate::Pipeline).
/// * `run` may use the CPU for long, but waits for nothing except its own model, and calls [`Cx::check`] at least
///   every 50 ms or so of work.
/// * `run_batch` returns exactly one result for each input, in order. One failed input does not fail the others.
///
/// ```
/// use pipeline_core::{Cx, Decoded, Result, Stage};
///
/// struct MeanGrey;
///
/// impl Stage<Decoded> for MeanGrey {
///     type Out = f32;
///
///     fn name(&self) -> &'static str {
///         "mean-grey"
///     }
///
///     fn run(&self, picture: &Decoded, _cx: &Cx) -> Result<f32> {
///         let samples = picture.pixels().as_raw();
///         Ok(samples.iter().map(|&s| f32::from(s)).sum::<f32>() / samples.len() as f32)
///     }
/// }
/// ```
pub trait Stage<In: ?Sized>: Send + Sync {
    /// What the stage makes of one input.
    type Out: Send;

    /// The label of the stage in errors, logs and metrics: short, kebab-case.
    fn name(&self) -> &'static str;

    /// Does the work for one input.
    ///
    /// # Errors
    /// Whatever went wrong with this input; [`Error::stage`](crate::Error::stage) wraps foreign errors.
    fn run(&self, input: &In, cx: &Cx) -> Result<Self::Out>;

    /// Does the work for several inputs. Override it where several at once are cheaper than one by one.
    ///
    /// ```
    /// use pipeline_core::{Cx, Stage, stage_fn};
    ///
    /// let halve = stage_fn("halve", |n: &u32| Ok(n / 2));
    /// let halves = halve.run_batch(&[&4, &6], &Cx::none());
    /// assert_eq!(halves.into_iter().collect::<Result<Vec<_>, _>>()?, [2, 3]);
    /// # Ok::<(), pipeline_core::Error>(())
    /// ```
    fn run_batch(&self, inputs: &[&In], cx: &Cx) -> Vec<Result<Self::Out>> {
        inputs.iter().map(|input| self.run(input, cx)).collect()
    }
}

/// A stage whose type has been erased, for lists and struct fields that cannot name it.
///
/// ```
/// use pipeline_core::{BoxStage, Cx, Decoded, Stage, StageExt, image::RgbImage, stage_fn};
///
/// let checks: Vec<BoxStage<Decoded, bool>> = vec![
///     stage_fn("is-wide", |p: &Decoded| Ok(p.pixels().width() > p.pixels().height())).boxed(),
///     stage_fn("is-small", |p: &Decoded| Ok(p.pixels().width() < 100)).boxed(),
/// ];
/// let picture = Decoded::from(RgbImage::new(640, 480));
/// assert!(checks[0].run(&picture, &Cx::none())?);
/// # Ok::<(), pipeline_core::Error>(())
/// ```
pub type BoxStage<In, Out> = Box<dyn Stage<In, Out = Out>>;

/// Adapters. Every stage has them; do not implement this trait yourself.
///
/// ```
/// use std::sync::Arc;
///
/// use pipeline_core::{Cx, Decode, Decoded, Limits, Pipeline, Source, StageExt, stage_fn};
///
/// let width = stage_fn("width", |picture: &Decoded| Ok(picture.pixels().width()));
/// let pipeline = Decode::new(Limits::default())
///     .then(width.map(|width| width * 2))
///     .catch_panic()
///     .timed(Some(Arc::new(|stage, took| println!("{stage}: {took:?}"))))
///     .attempt()
///     .boxed();
/// let result = pipeline.process(&Source::from("no picture"), &Cx::none())?;
/// assert_eq!(result.unwrap_err().code(), "unknown-format"); // a result, thanks to `attempt`
/// # Ok::<(), pipeline_core::Error>(())
/// ```
pub trait StageExt<In: ?Sized>: Stage<In> + Sized {
    /// Feeds this stage's output to `next`. An input that fails here never reaches `next`.
    fn then<S: Stage<Self::Out>>(self, next: S) -> Then<Self, S> {
        Then { first: self, next }
    }

    /// Converts the output with a function that cannot fail.
    fn map<O: Send, F: Fn(Self::Out) -> O + Send + Sync>(self, convert: F) -> Map<Self, F> {
        Map {
            stage: self,
            convert,
        }
    }

    /// Makes a failure part of the output, so that it does not fail what stands beside this stage in a tuple.
    fn attempt(self) -> Attempt<Self> {
        Attempt { stage: self }
    }

    /// Tells `observer`, if there is one, how long every run took.
    fn timed(self, observer: Option<StageObserver>) -> Timed<Self> {
        Timed {
            stage: self,
            observer,
        }
    }

    /// Turns a panic into [`Error::Panicked`](crate::Error::Panicked).
    fn catch_panic(self) -> CatchPanic<Self> {
        CatchPanic { stage: self }
    }

    /// Erases the type.
    fn boxed(self) -> BoxStage<In, Self::Out>
    where
        Self: 'static,
    {
        Box::new(self)
    }
}

impl<In: ?Sized, S: Stage<In>> StageExt<In> for S {}

#[cfg(test)]
pub(crate) mod testing {
    //! Stages over plain numbers, for the tests of the adapters.

    use crate::{Cx, Error, Result, Stage};

    /// Doubles even numbers and refuses odd ones; its batch form adds 1,000 so that tests see which one ran.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Double;

    impl Stage<u32> for Double {
        type Out = u32;

        fn name(&self) -> &'static str {
            "double"
        }

        fn run(&self, input: &u32, _cx: &Cx) -> Result<u32> {
            if input.is_multiple_of(2) {
                Ok(input * 2)
            } else {
                Err(Error::stage("double", std::io::Error::other("odd")))
            }
        }

        fn run_batch(&self, inputs: &[&u32], cx: &Cx) -> Vec<Result<u32>> {
            inputs
                .iter()
                .map(|input| self.run(input, cx).map(|out| out + 1_000))
                .collect()
        }
    }

    /// `Some(value)` for each success, `None` for each failure.
    pub(crate) fn values<T>(results: Vec<Result<T>>) -> Vec<Option<T>> {
        results.into_iter().map(Result::ok).collect()
    }
}
