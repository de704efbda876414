use crate::{Cx, Result, Stage};

/// A stage that may be switched off: `None` makes `None`.
#[deny(clippy::missing_trait_methods)]
impl<In: ?Sized, S: Stage<In>> Stage<In> for Option<S> {
    type Out = Option<S::Out>;

    fn name(&self) -> &'static str {
        self.as_ref().map_or("none", |stage| stage.name())
    }

    fn run(&self, input: &In, cx: &Cx) -> Result<Self::Out> {
        self.as_ref().map(|stage| stage.run(input, cx)).transpose()
    }

    fn run_batch(&self, inputs: &[&In], cx: &Cx) -> Vec<Result<Self::Out>> {
        match self {
            Some(stage) => stage
                .run_batch(inputs, cx)
                .into_iter()
                .map(|result| result.map(Some))
                .collect(),
            None => inputs.iter().map(|_| Ok(None)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Double, values};
    use crate::{Cx, Stage};

    #[test]
    fn none_still_answers_once_for_each_input() {
        let off: Option<Double> = None;
        assert_eq!(off.run(&3, &Cx::none()).unwrap(), None);
        assert_eq!(
            values(off.run_batch(&[&1, &2], &Cx::none())),
            [Some(None), Some(None)]
        );
        assert_eq!(
            values(Some(Double).run_batch(&[&1, &2], &Cx::none())),
            [None, Some(Some(1_004))]
        );
    }
}
