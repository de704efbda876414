use crate::{Cx, Error, Result, Stage};

/// A stage that cannot fail, since its failure is its output; made by [`StageExt::attempt`](super::StageExt::attempt).
///
/// Cancellation still ends the whole run: [`Error::Cancelled`] and [`Error::DeadlineExceeded`] say nothing about the
/// input.
///
/// ```
/// use pipeline_core::{Cx, MetadataStage, Pipeline, Source, StageExt, stage_fn};
///
/// let size = stage_fn("size", |source: &Source| Ok(source.bytes().len()));
/// let both = (MetadataStage::new().attempt(), size);
/// let (metadata, size) = both.process(&Source::from("GIF89a"), &Cx::none())?;
/// assert!(metadata.is_err()); // which does not fail its neighbour
/// assert_eq!(size, 6);
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Attempt<S> {
    pub(super) stage: S,
}

fn keep<T>(result: Result<T>) -> Result<Result<T>> {
    match result {
        Err(stop @ (Error::Cancelled | Error::DeadlineExceeded)) => Err(stop),
        other => Ok(other),
    }
}

#[deny(clippy::missing_trait_methods)]
impl<In: ?Sized, S: Stage<In>> Stage<In> for Attempt<S> {
    type Out = Result<S::Out>;

    fn name(&self) -> &'static str {
        self.stage.name()
    }

    fn run(&self, input: &In, cx: &Cx) -> Result<Self::Out> {
        keep(self.stage.run(input, cx))
    }

    fn run_batch(&self, inputs: &[&In], cx: &Cx) -> Vec<Result<Self::Out>> {
        self.stage
            .run_batch(inputs, cx)
            .into_iter()
            .map(keep)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::Double;
    use crate::{Cx, Error, Stage, StageExt, stage_fn};

    #[test]
    fn a_failure_does_not_fail_its_neighbour() {
        let both = (Double.attempt(), stage_fn("same", |n: &u32| Ok(*n)));
        let (doubled, same) = both.run(&3, &Cx::none()).unwrap();
        assert!(doubled.is_err());
        assert_eq!(same, 3);
    }

    #[test]
    fn cancellation_is_not_an_output() {
        let cancelled = stage_fn("never", |_: &u32| Err::<(), _>(Error::Cancelled)).attempt();
        assert!(matches!(
            cancelled.run(&1, &Cx::none()),
            Err(Error::Cancelled)
        ));
    }
}
