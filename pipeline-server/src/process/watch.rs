//! Which files have stopped growing.

use std::collections::HashMap;
use std::path::PathBuf;

use super::files::{Found, Stamp};

/// What was seen at the last look, and whether it was taken.
#[derive(Debug, Default)]
pub(super) struct Still {
    seen: HashMap<PathBuf, (Result<Stamp, String>, bool)>,
}

impl Still {
    /// Of all files that are there now, those to be taken: the same as at the look before, and not taken since they
    /// changed.
    pub(super) fn look(&mut self, found: Vec<Found>) -> Vec<Found> {
        let mut seen = HashMap::with_capacity(found.len());
        let mut ready = Vec::new();
        for found in found {
            let before = self.seen.remove(&found.path);
            let (same, taken) = match before {
                Some((state, taken)) if state == found.state => (true, taken),
                _ => (false, false),
            };
            seen.insert(found.path.clone(), (found.state.clone(), same));
            if same && !taken {
                ready.push(found);
            }
        }
        self.seen = seen;
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, size: u64) -> Found {
        Found {
            path: name.into(),
            state: Ok(Stamp {
                real: name.into(),
                size,
                modified: 0,
            }),
        }
    }

    #[test]
    fn a_file_is_taken_once_it_stands_still_and_again_when_it_has_changed() {
        let mut still = Still::default();
        let mut look = |sizes: &[(&str, u64)]| -> Vec<PathBuf> {
            let found = sizes.iter().map(|(name, size)| file(name, *size)).collect();
            let ready = still.look(found).into_iter();
            ready.map(|found| found.path).collect()
        };
        let none: Vec<PathBuf> = Vec::new();
        assert_eq!(look(&[("a", 1), ("b", 1)]), none);
        assert_eq!(look(&[("a", 1), ("b", 2)]), [PathBuf::from("a")]);
        assert_eq!(look(&[("a", 1), ("b", 3)]), none);
        assert_eq!(look(&[("a", 1), ("b", 3)]), [PathBuf::from("b")]);
        assert_eq!(look(&[("a", 9), ("b", 3)]), none);
        assert_eq!(look(&[("a", 9), ("b", 3)]), [PathBuf::from("a")]);
        // Gone and back again is new.
        assert_eq!(look(&[("b", 3)]), none);
        assert_eq!(look(&[("a", 9), ("b", 3)]), none);
        assert_eq!(look(&[("a", 9), ("b", 3)]), [PathBuf::from("a")]);
    }
}
