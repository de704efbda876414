use std::fmt;

use crate::{Cx, Result, Stage};

/// A stage with its output converted; made by [`StageExt::map`](super::StageExt::map).
///
/// ```
/// use pipeline_core::{Cx, Stage, StageExt, stage_fn};
///
/// let length = stage_fn("length", |text: &str| Ok(text.len()));
/// let label = length.map(|length| format!("{length} bytes"));
/// assert_eq!(label.run("abc", &Cx::none())?, "3 bytes");
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Map<S, F> {
    pub(super) stage: S,
    pub(super) convert: F,
}

impl<S: fmt::Debug, F> fmt::Debug for Map<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

#[deny(clippy::missing_trait_methods)]
impl<In: ?Sized, S: Stage<In>, O: Send, F: Fn(S::Out) -> O + Send + Sync> Stage<In> for Map<S, F> {
    type Out = O;

    fn name(&self) -> &'static str {
        self.stage.name()
    }

    fn run(&self, input: &In, cx: &Cx) -> Result<O> {
        self.stage.run(input, cx).map(&self.convert)
    }

    fn run_batch(&self, inputs: &[&In], cx: &Cx) -> Vec<Result<O>> {
        self.stage
            .run_batch(inputs, cx)
            .into_iter()
            .map(|result| result.map(&self.convert))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Double, values};
    use crate::{Cx, Stage, StageExt};

    #[test]
    fn converts_successes_only() {
        let text = Double.map(|n| n.to_string());
        assert_eq!(text.run(&2, &Cx::none()).unwrap(), "4");
        assert_eq!(
            values(text.run_batch(&[&2, &3], &Cx::none())),
            [Some("1004".to_owned()), None]
        );
    }
}
