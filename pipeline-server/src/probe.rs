//! Whether the storage can be written to: tried now and then, however often somebody asks.

use std::time::Duration;

use pipeline_store::{Error, Result, Store};
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout};
use tracing::warn;

/// How long what was found is good for.
const FRESH: Duration = Duration::from_secs(2);
/// How long somebody else may hold the database.
const LOCKED: Duration = Duration::from_secs(1);
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What was found last, and the attempt that is underway.
#[derive(Debug)]
pub(crate) struct Probe {
    fresh: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<(Instant, Found)>,
    running: Option<JoinHandle<Found>>,
}

/// What is wrong, if anything is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) disk: Option<&'static str>,
    pub(crate) database: Option<&'static str>,
}

impl Default for Probe {
    fn default() -> Self {
        Self::new(FRESH)
    }
}

impl Probe {
    fn new(fresh: Duration) -> Self {
        Self {
            fresh,
            state: Mutex::default(),
        }
    }

    /// Tries what an upload needs, unless that was done a moment ago.
    pub(crate) async fn look(&self, store: &Store) -> Found {
        // Those who come meanwhile wait here, and hear the same.
        let mut state = self.state.lock().await;
        if let Some((since, found)) = state.last
            && since.elapsed() < self.fresh
        {
            return found;
        }
        let running = state.running.get_or_insert_with(|| {
            let store = store.clone();
            spawn_blocking(move || attempt(&store))
        });
        let silent = Found {
            disk: Some("the data folder does not answer"),
            database: None,
        };
        let found = match timeout(PATIENCE, running).await {
            Ok(ended) => {
                state.running = None;
                ended.unwrap_or(silent)
            }
            // It is waited for again, and no other is begun: threads that hang must not become more and more.
            Err(_) => silent,
        };
        state.last = Some((Instant::now(), found));
        found
    }
}

fn attempt(store: &Store) -> Found {
    let unwritable = "the data folder cannot be written to";
    Found {
        disk: told(store.probe_files(), unwritable),
        database: told(
            store.probe_database(LOCKED),
            "the database cannot be written to",
        ),
    }
}

fn told(result: Result<()>, otherwise: &'static str) -> Option<&'static str> {
    let error = result.err()?;
    warn!(
        code = error.code(),
        "an upload would fail: {}",
        pipeline_core::report(&error)
    );
    Some(match error {
        Error::Busy { .. } => "the database is locked",
        _ => otherwise,
    })
}

#[cfg(test)]
mod tests {
    use pipeline_store::StoreConfig;

    use super::*;

    #[tokio::test]
    async fn it_is_tried_again_after_a_while_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), &StoreConfig::default()).unwrap();
        let (rare, often) = (
            Probe::new(Duration::from_secs(3_600)),
            Probe::new(Duration::ZERO),
        );
        let good = Found {
            disk: None,
            database: None,
        };
        assert_eq!(rare.look(&store).await, good);
        assert_eq!(often.look(&store).await, good);
        std::fs::remove_dir(folder.path().join("tmp")).unwrap();
        assert_eq!(rare.look(&store).await, good);
        let bad = often.look(&store).await;
        assert_eq!(bad.disk, Some("the data folder cannot be written to"));
        assert_eq!(bad.database, None);
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        assert_eq!(often.look(&store).await, good);
    }
}
