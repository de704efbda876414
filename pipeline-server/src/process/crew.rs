//! The threads that work, one picture each, as the server's do.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pipeline_core::CancelToken;

use super::analyst::Analyst;
use super::files::Stamp;
use super::record::Record;
use crate::runner::Stop;
use crate::{Error, Result};

/// How long the threads may take to let go of their pictures after the order to stop.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// A file to work on.
#[derive(Debug, Clone)]
pub(super) struct Task {
    /// Its place in the output.
    pub(super) place: usize,
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
}

/// What the main thread waits for.
pub(super) enum Event {
    /// A file is done.
    Done(Box<(Task, Record)>),
    /// A thread has ended.
    Ended,
    /// The order to stop came from outside.
    Interrupted,
}

/// The threads.
#[derive(Debug)]
pub(super) struct Crew {
    shared: Arc<Shared>,
    events: Receiver<Event>,
    /// Threads that have not ended.
    running: usize,
}

#[derive(Debug)]
struct Shared {
    tasks: Mutex<Tasks>,
    changed: Condvar,
    stop: CancelToken,
}

#[derive(Debug, Default)]
struct Tasks {
    waiting: VecDeque<Task>,
    closed: bool,
}

/// Tells a crew to stop, from any thread.
pub(super) struct Alarm {
    shared: Arc<Shared>,
    events: Sender<Event>,
}

impl Alarm {
    pub(super) fn interrupt(&self) {
        self.shared.stop();
        self.events.send(Event::Interrupted).ok();
    }
}

impl Crew {
    /// Starts `workers` threads that ask `analyst`.
    pub(super) fn start(workers: usize, analyst: Analyst) -> Result<(Self, Alarm)> {
        let shared = Arc::new(Shared {
            tasks: Mutex::default(),
            changed: Condvar::new(),
            stop: CancelToken::new(),
        });
        let (tell, events) = channel();
        let analyst = Arc::new(analyst);
        for number in 0..workers {
            let (shared, analyst, tell) = (Arc::clone(&shared), Arc::clone(&analyst), tell.clone());
            thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || {
                    shared.work(&analyst, &tell);
                    tell.send(Event::Ended).ok();
                })
                .map_err(|source| Error::System {
                    doing: "start a worker thread",
                    source,
                })?;
        }
        let alarm = Alarm {
            shared: Arc::clone(&shared),
            events: tell,
        };
        let crew = Self {
            shared,
            events,
            running: workers,
        };
        Ok((crew, alarm))
    }

    /// Adds a file to the work.
    pub(super) fn give(&self, task: Task) {
        lock(&self.shared.tasks).waiting.push_back(task);
        self.shared.changed.notify_one();
    }

    /// Waits for something to happen, `patience` at the most; `None` if nothing has.
    pub(super) fn wait(&mut self, patience: Option<Duration>) -> Option<Event> {
        let event = match patience {
            None => self.events.recv().ok(),
            Some(patience) => self.events.recv_timeout(patience).ok(),
        };
        self.running -= usize::from(matches!(event, Some(Event::Ended)));
        event
    }

    /// Cancels what is in work, and returns what was done before that came through. A thread that does not stop is left
    /// behind.
    pub(super) fn stop(mut self) -> Vec<(Task, Record)> {
        self.shared.stop();
        let give_up = Instant::now() + STOP_WAIT;
        let mut done = Vec::new();
        while self.running > 0 {
            match self.wait(Some(give_up.saturating_duration_since(Instant::now()))) {
                Some(Event::Done(result)) => done.push(*result),
                Some(Event::Ended | Event::Interrupted) => {}
                None => break,
            }
        }
        done
    }
}

impl Shared {
    fn stop(&self) {
        self.stop.cancel();
        lock(&self.tasks).closed = true;
        self.changed.notify_all();
    }

    fn next(&self) -> Option<Task> {
        let idle = |tasks: &mut Tasks| tasks.waiting.is_empty() && !tasks.closed;
        let tasks = self.changed.wait_while(lock(&self.tasks), idle);
        let mut tasks = tasks.unwrap_or_else(PoisonError::into_inner);
        if tasks.closed {
            return None;
        }
        tasks.waiting.pop_front()
    }

    fn work(&self, analyst: &Analyst, events: &Sender<Event>) {
        while let Some(task) = self.next() {
            let record = catch_unwind(AssertUnwindSafe(|| analyst.record(&task, &self.stop)))
                .unwrap_or_else(|panic| Err(Stop::panicked(panic.as_ref())));
            let record = match record {
                Ok(record) => record,
                Err(Stop::Failed { code, message }) => Record::failed(&task.path, code, message),
                Err(Stop::Unreadable { code }) => {
                    Record::failed(&task.path, code, "cannot read a file")
                }
                Err(Stop::Cancelled) => continue,
            };
            if events.send(Event::Done(Box::new((task, record)))).is_err() {
                return;
            }
        }
    }
}

/// The tasks are whole after any panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
