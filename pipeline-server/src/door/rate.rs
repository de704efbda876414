//! How many requests a client may send, for any number of clients in a table of bounded size.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);
/// Clients that are counted one by one. When there are more at a time, the others share one count.
const MAX_CLIENTS: usize = 10_000;

/// Lets each client send a number of requests at once, and as many in every minute.
#[derive(Debug)]
pub(super) struct Rate<K> {
    /// What one request costs, in time: a client has a minute's worth, and gets a second back in every second.
    cost: Duration,
    counts: Mutex<Counts<K>>,
}

#[derive(Debug)]
struct Counts<K> {
    /// When each client will have all of its minute back. A client that has is as good as unknown.
    clients: HashMap<K, Instant>,
    others: Option<Instant>,
    /// When the table was last searched for clients that can be forgotten.
    searched: Option<Instant>,
}

impl<K: Eq + Hash + Clone> Rate<K> {
    pub(super) fn new(per_minute: NonZeroU32) -> Self {
        Self {
            cost: MINUTE / per_minute.get(),
            counts: Mutex::new(Counts {
                clients: HashMap::new(),
                others: None,
                searched: None,
            }),
        }
    }

    /// Counts a request of `client`, unless it has sent too many; then it says how long to wait.
    pub(super) fn take(&self, client: &K, now: Instant) -> Result<(), Duration> {
        // The counts are whole after any panic.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = counts.clients.contains_key(client);
        if !known && counts.clients.len() >= MAX_CLIENTS {
            counts.forget_the_rested(now);
        }
        let recovered = match known || counts.clients.len() < MAX_CLIENTS {
            true => counts.clients.entry(client.clone()).or_insert(now),
            false => counts.others.get_or_insert(now),
        };
        let after = (*recovered).max(now) + self.cost;
        match (after - now).checked_sub(MINUTE) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                *recovered = after;
                Ok(())
            }
        }
    }
}

impl<K: Eq + Hash> Counts<K> {
    /// Not more than once a second: the search takes as long as the table.
    fn forget_the_rested(&mut self, now: Instant) {
        let recent = |searched: Instant| now.duration_since(searched) < Duration::from_secs(1);
        if !self.searched.is_some_and(recent) {
            self.searched = Some(now);
            self.clients.retain(|_, recovered| *recovered > now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_minute: u32) -> Rate<u32> {
        Rate::new(per_minute.try_into().unwrap())
    }

    #[test]
    fn a_minutes_worth_may_come_at_once_and_then_one_at_a_time() {
        let (rate, start) = (rate(6), Instant::now());
        for _ in 0..6 {
            assert_eq!(rate.take(&1, start), Ok(()));
        }
        assert_eq!(rate.take(&1, start), Err(Duration::from_secs(10)));
        let later = start + Duration::from_secs(4);
        assert_eq!(rate.take(&1, later), Err(Duration::from_secs(6)));
        let later = start + Duration::from_secs(10);
        assert_eq!(rate.take(&1, later), Ok(()));
        assert!(rate.take(&1, later).is_err());
        assert_eq!(
            rate.take(&2, start),
            Ok(()),
            "others have a count of their own"
        );
        let rested = start + Duration::from_secs(600);
        for _ in 0..6 {
            assert_eq!(rate.take(&1, rested), Ok(()));
        }
        assert!(rate.take(&1, rested).is_err(), "rest is not saved up");
    }

    #[test]
    fn the_table_stays_bounded_and_nobody_slips_through() {
        let (rate, start) = (rate(1), Instant::now());
        let many = u32::try_from(MAX_CLIENTS).unwrap();
        for client in 0..many {
            assert_eq!(rate.take(&client, start), Ok(()));
        }
        assert_eq!(rate.take(&many, start), Ok(()));
        assert!(rate.take(&(many + 1), start).is_err(), "they share a count");
        assert!(
            rate.take(&0, start).is_err(),
            "the known ones are not forgotten"
        );
        assert_eq!(rate.counts.lock().unwrap().clients.len(), MAX_CLIENTS);
        let rested = start + MINUTE;
        assert_eq!(rate.take(&(many + 2), rested), Ok(()));
        assert_eq!(rate.counts.lock().unwrap().clients.len(), 1);
    }
}
