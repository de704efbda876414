//! How long a call may run, and whether anybody still waits for it.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::{Error, Progress, Result};

/// A deadline and a cancellation token, handed down through every stage.
///
/// Stages call [`Cx::check`] between pieces of work; nothing is interrupted in the middle of one.
///
/// ```
/// use std::time::Duration;
/// use pipeline_core::{CancelToken, Cx};
///
/// let token = CancelToken::new();
/// let cx = Cx::none().with_timeout(Duration::from_secs(30)).with_cancel(&token);
/// assert!(cx.check().is_ok());
/// token.cancel();
/// assert_eq!(cx.check().unwrap_err().code(), "cancelled");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Cx {
    deadline: Option<Instant>,
    cancel: Option<CancelToken>,
    pulse: Option<Pulse>,
    listener: Option<Listener>,
}

impl Cx {
    /// No deadline, never cancelled.
    pub fn none() -> Self {
        Self::default()
    }

    /// Ends the work at `deadline`.
    ///
    /// ```
    /// use std::time::Instant;
    /// use pipeline_core::Cx;
    ///
    /// let cx = Cx::none().with_deadline(Instant::now());
    /// assert_eq!(cx.check().unwrap_err().code(), "deadline-exceeded");
    /// ```
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Ends the work `timeout` from now. A time-out too long for the clock means none.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.deadline = Instant::now().checked_add(timeout);
        self
    }

    /// Ends the work once `token` is cancelled.
    #[must_use]
    pub fn with_cancel(mut self, token: &CancelToken) -> Self {
        self.cancel = Some(token.clone());
        self
    }

    /// Lets `pulse` tell others that the work goes on.
    ///
    /// ```
    /// use pipeline_core::{Cx, Pulse};
    ///
    /// let pulse = Pulse::new();
    /// let cx = Cx::none().with_pulse(&pulse);
    /// // Another thread looks now and then; while this number grows, the work does not hang.
    /// assert_eq!(pulse.beats(), 0);
    /// # drop(cx);
    /// ```
    #[must_use]
    pub fn with_pulse(mut self, pulse: &Pulse) -> Self {
        self.pulse = Some(pulse.clone());
        self
    }

    /// Calls `listener` with what is found out about a picture as soon as it is; on the thread that does the work, which
    /// waits for it. A batch tells nothing: nobody could say which picture is meant.
    ///
    /// ```
    /// use pipeline_core::{Cx, ImagePipeline, Pipeline, Progress, Source};
    ///
    /// # let folder = tempfile::tempdir().expect("a temporary folder");
    /// # let path = folder.path().join("cat.png");
    /// # pipeline_core::image::RgbImage::new(64, 48).save(&path).expect("a picture can be written");
    /// let (tell, told) = std::sync::mpsc::channel();
    /// let cx = Cx::none().with_progress(move |progress| {
    ///     if let Progress::Metadata(metadata) = progress {
    ///         tell.send((metadata.width, metadata.height)).ok(); // long before the caption
    ///     }
    /// });
    /// ImagePipeline::builder().build().process(&Source::from_path(&path)?, &cx)?;
    /// assert_eq!(told.recv(), Ok((64, 48)));
    /// # Ok::<(), pipeline_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_progress(
        mut self,
        listener: impl Fn(Progress<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.listener = Some(Listener(Arc::new(AssertUnwindSafe(Box::new(listener)))));
        self
    }

    pub(crate) fn tell(&self, progress: Progress<'_>) {
        if let Some(Listener(listener)) = &self.listener {
            listener(progress);
        }
    }

    /// Returns an error if the work should stop.
    ///
    /// # Errors
    /// [`Error::Cancelled`] or [`Error::DeadlineExceeded`].
    pub fn check(&self) -> Result<()> {
        if let Some(pulse) = &self.pulse {
            pulse.beat();
        }
        if self.cancel.as_ref().is_some_and(CancelToken::is_cancelled) {
            return Err(Error::Cancelled);
        }
        if self
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
        {
            return Err(Error::DeadlineExceeded);
        }
        Ok(())
    }
}

/// Whoever wants to know how far the work is. Stages do not look at it after a panic, so a [`Cx`] stays as safe there as
/// it is without one.
#[derive(Clone)]
struct Listener(Arc<AssertUnwindSafe<Box<Tell>>>);

type Tell = dyn Fn(Progress<'_>) + Send + Sync;

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

/// A flag that says "stop", shared by all clones.
///
/// ```
/// use std::thread;
/// use pipeline_core::{CancelToken, Cx};
///
/// let token = CancelToken::new();
/// let cx = Cx::none().with_cancel(&token);
/// let work = thread::spawn(move || while cx.check().is_ok() { thread::yield_now() });
/// token.cancel(); // from any thread
/// work.join().expect("the work stops by itself");
/// assert!(token.is_cancelled());
/// ```
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks all work that holds a clone of this token to stop. It cannot be taken back.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`CancelToken::cancel`] was called on any clone.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A sign of life, shared by all clones: it beats whenever the work looks at its [`Cx`].
///
/// ```
/// use pipeline_core::{Cx, Pulse};
///
/// let pulse = Pulse::new();
/// let cx = Cx::none().with_pulse(&pulse);
/// cx.check()?; // what stages do
/// assert_eq!(pulse.beats(), 1);
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// A pulse that has not beaten yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that the work goes on.
    ///
    /// ```
    /// use pipeline_core::Pulse;
    ///
    /// let pulse = Pulse::new();
    /// pulse.clone().beat(); // work without a `Cx` gives its sign of life itself
    /// assert_eq!(pulse.beats(), 1);
    /// ```
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has beaten. Work that stands still leaves it as it is.
    pub fn beats(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pulse_beats_with_every_look() {
        let pulse = Pulse::new();
        let cx = Cx::none().with_pulse(&pulse);
        assert_eq!(pulse.beats(), 0);
        cx.check().unwrap();
        cx.clone().check().unwrap();
        assert_eq!(pulse.beats(), 2);
    }

    #[test]
    fn a_deadline_in_the_past_ends_the_work() {
        let cx = Cx::none().with_timeout(Duration::ZERO);
        assert!(matches!(cx.check(), Err(Error::DeadlineExceeded)));
    }

    #[test]
    fn the_longest_timeout_is_no_deadline() {
        assert!(Cx::none().with_timeout(Duration::MAX).check().is_ok());
    }
}
