use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Cx, Error, Result, Stage};

/// A stage whose panics are errors; made by [`StageExt::catch_panic`](super::StageExt::catch_panic).
///
/// Decoders panic on hostile files now and then; one such file must not take a worker with it.
///
/// ```
/// use pipeline_core::{Cx, Stage, StageExt, stage_fn};
///
/// let fragile = stage_fn("fragile", |n: &u32| Ok(10 / n)).catch_panic();
/// assert_eq!(fragile.run(&5, &Cx::none())?, 2);
/// assert_eq!(fragile.run(&0, &Cx::none()).unwrap_err().code(), "stage-panicked");
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct CatchPanic<S> {
    pub(super) stage: S,
}

/// Runs `work` and reports a panic as that of `stage`.
pub(crate) fn catch_panic<T>(stage: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    // Sound in the sense of `UnwindSafe`: stages borrow their input and their settings immutably.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Error::Panicked {
            stage,
            message: message(panic.as_ref()).into(),
        })
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[deny(clippy::missing_trait_methods)]
impl<In: ?Sized, S: Stage<In>> Stage<In> for CatchPanic<S> {
    type Out = S::Out;

    fn name(&self) -> &'static str {
        self.stage.name()
    }

    fn run(&self, input: &In, cx: &Cx) -> Result<S::Out> {
        catch_panic(self.name(), || self.stage.run(input, cx))
    }

    /// A panic in the batch form says nothing about which input is at fault, so all are run again one by one.
    fn run_batch(&self, inputs: &[&In], cx: &Cx) -> Vec<Result<S::Out>> {
        catch_panic(self.name(), || Ok(self.stage.run_batch(inputs, cx)))
            .unwrap_or_else(|_| inputs.iter().map(|input| self.run(input, cx)).collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::values;
    use crate::{Cx, Stage, StageExt, stage_fn};

    #[test]
    fn only_the_input_that_panics_fails() {
        let fragile = stage_fn("fragile", |n: &u32| Ok(10 / n)).catch_panic();
        let error = fragile.run(&0, &Cx::none()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "stage `fragile` panicked: attempt to divide by zero"
        );
        assert_eq!(
            values(fragile.run_batch(&[&5, &0, &2], &Cx::none())),
            [Some(2), None, Some(5)]
        );
    }
}
