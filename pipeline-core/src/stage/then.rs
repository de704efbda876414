use crate::{Cx, Result, Stage};

/// One stage after another; made by [`StageExt::then`](super::StageExt::then).
///
/// ```
/// use pipeline_core::{Cx, Stage, StageExt, stage_fn};
///
/// let length = stage_fn("length", |text: &str| Ok(text.len()));
/// let is_even = stage_fn("is-even", |n: &usize| Ok(n.is_multiple_of(2)));
/// assert!(!length.then(is_even).run("abc", &Cx::none())?);
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Then<A, B> {
    pub(super) first: A,
    pub(super) next: B,
}

#[deny(clippy::missing_trait_methods)]
impl<In: ?Sized, A: Stage<In>, B: Stage<A::Out>> Stage<In> for Then<A, B> {
    type Out = B::Out;

    fn name(&self) -> &'static str {
        self.next.name()
    }

    fn run(&self, input: &In, cx: &Cx) -> Result<B::Out> {
        let between = self.first.run(input, cx)?;
        cx.check()?;
        self.next.run(&between, cx)
    }

    fn run_batch(&self, inputs: &[&In], cx: &Cx) -> Vec<Result<B::Out>> {
        let between = self.first.run_batch(inputs, cx);
        let succeeded: Vec<&A::Out> = between
            .iter()
            .filter_map(|result| result.as_ref().ok())
            .collect();
        let mut outputs = self.next.run_batch(&succeeded, cx).into_iter();
        between
            .iter()
            .map(|result| match result {
                Ok(_) => outputs
                    .next()
                    .expect("run_batch returns one result for each input"),
                Err(error) => Err(error.clone()),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Double, values};
    use crate::{Cx, Stage, StageExt};

    #[test]
    fn a_failed_input_skips_the_second_stage_and_keeps_its_place() {
        let twice = Double.then(Double);
        assert_eq!(twice.run(&2, &Cx::none()).unwrap(), 8);
        assert!(twice.run(&3, &Cx::none()).is_err());
        // Both stages ran in their batch form: (2·2 + 1000)·2 + 1000.
        assert_eq!(
            values(twice.run_batch(&[&2, &3, &4], &Cx::none())),
            [Some(3_008), None, Some(3_016)]
        );
    }
}
