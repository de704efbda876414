use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{Cx, Result, Stage};

/// Told after every run of a stage: the stage's name, and how long it took, whether it failed or not.
///
/// ```
/// use std::sync::Arc;
/// use pipeline_core::{Cx, Stage, StageExt, StageObserver, stage_fn};
///
/// let observer: StageObserver = Arc::new(|stage, took| println!("{stage}: {took:?}"));
/// let halve = stage_fn("halve", |n: &u32| Ok(n / 2)).timed(Some(observer));
/// assert_eq!(halve.run(&8, &Cx::none())?, 4); // prints something like "halve: 84ns"
/// # Ok::<(), pipeline_core::Error>(())
/// ```
pub type StageObserver = Arc<dyn Fn(&'static str, Duration) + Send + Sync>;

/// A stage that tells how long it took; made by [`StageExt::timed`](super::StageExt::timed).
///
/// ```
/// use std::sync::{Arc, mpsc};
/// use pipeline_core::{Cx, Stage, StageExt, stage_fn};
///
/// let (tell, told) = mpsc::channel();
/// let halve = stage_fn("halve", |n: &u32| Ok(n / 2))
///     .timed(Some(Arc::new(move |stage, _took| tell.send(stage).expect("somebody listens"))));
/// halve.run(&8, &Cx::none())?;
/// assert_eq!(told.recv(), Ok("halve"));
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Timed<S> {
    pub(super) stage: S,
    pub(super) observer: Option<StageObserver>,
}

impl<S: fmt::Debug> fmt::Debug for Timed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timed")
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

#[deny(clippy::missing_trait_methods)]
impl<In: ?Sized, S: Stage<In>> Stage<In> for Timed<S> {
    type Out = S::Out;

    fn name(&self) -> &'static str {
        self.stage.name()
    }

    fn run(&self, input: &In, cx: &Cx) -> Result<S::Out> {
        let started = Instant::now();
        let result = self.stage.run(input, cx);
        if let Some(observer) = &self.observer {
            observer(self.name(), started.elapsed());
        }
        result
    }

    /// Each input has an equal share of the time.
    fn run_batch(&self, inputs: &[&In], cx: &Cx) -> Vec<Result<S::Out>> {
        let started = Instant::now();
        let results = self.stage.run_batch(inputs, cx);
        if let Some(observer) = &self.observer {
            let shares = u32::try_from(results.len()).unwrap_or(u32::MAX).max(1);
            let share = started.elapsed() / shares;
            results.iter().for_each(|_| observer(self.name(), share));
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use crate::stage::testing::{Double, values};
    use crate::{Cx, Stage, StageExt};

    #[test]
    fn every_run_is_told_failures_included() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&told);
        let timed = Double.timed(Some(Arc::new(move |name, _: Duration| {
            list.lock().unwrap().push(name);
        })));
        assert_eq!(timed.run(&2, &Cx::none()).unwrap(), 4);
        assert!(timed.run(&3, &Cx::none()).is_err());
        let batch = timed.run_batch(&[&2, &3, &4], &Cx::none());
        assert_eq!(values(batch), [Some(1_004), None, Some(1_008)]);
        assert_eq!(*told.lock().unwrap(), ["double"; 5]);
    }
}
