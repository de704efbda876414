//! When a message that could not be delivered is tried again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// The wait after the first failure.
const FIRST: Duration = Duration::from_secs(5);
/// How many times longer the next wait is.
const FACTOR: u32 = 3;
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// The longest wait that a receiver can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);

/// The wait after `failures` failures, from 80 % to 120 % of the plan as `jitter` goes from 0 to 1: 5 s, 15 s, 45 s,
/// 2 min, 7 min, 20 min, 1 h, 3 h, 9 h, and then 12 h each.
pub(super) fn backoff(failures: u32, jitter: f64) -> Duration {
    let times = FACTOR.saturating_pow(failures.saturating_sub(1));
    let plan = FIRST.saturating_mul(times).min(LONGEST);
    plan.mul_f64(0.8 + 0.4 * jitter)
}

/// A number from 0 to 1 for each attempt of each message, so that those that failed together do not come back together.
pub(super) fn jitter(message: &str, failures: u32) -> f64 {
    let mut hasher = DefaultHasher::new();
    (message, failures).hash(&mut hasher);
    f64::from((hasher.finish() >> 32) as u32) / f64::from(u32::MAX)
}

/// The wait that a receiver asks for in `Retry-After`, which is a number of seconds or a date; an hour at the most.
pub(super) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let asked = match value.parse().map(Duration::from_secs) {
        Ok(seconds) => seconds,
        Err(_) => {
            let date = DateTimeParser::new().parse_timestamp(value).ok()?;
            // What is past is now.
            date.duration_since(now).try_into().unwrap_or_default()
        }
    };
    Some(asked.min(LONGEST_ASKED))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    #[test]
    fn waits_grow_up_to_half_a_day() {
        let plan: Vec<u64> = (1..=11).map(|n| backoff(n, 0.5).as_secs()).collect();
        let half_day = 12 * HOUR;
        assert_eq!(
            plan,
            [
                5, 15, 45, 135, 405, 1215, 3645, 10935, 32805, half_day, half_day
            ]
        );
        assert_eq!(backoff(u32::MAX, 0.5).as_secs(), half_day);
        assert_eq!(backoff(1, 0.0), Duration::from_secs(4));
        assert_eq!(backoff(1, 1.0), Duration::from_secs(6));
    }

    #[test]
    fn attempts_are_spread() {
        let all: Vec<f64> = (0..100).map(|n| jitter("msg_x", n)).collect();
        assert!(all.iter().all(|jitter| (0.0..=1.0).contains(jitter)));
        assert!(all.iter().any(|jitter| *jitter < 0.2));
        assert!(all.iter().any(|jitter| *jitter > 0.8));
        assert_ne!(jitter("msg_x", 1), jitter("msg_y", 1));
    }

    #[test]
    fn receivers_may_ask_for_an_hour_at_the_most() {
        let now: Timestamp = "2026-03-10T10:00:00Z".parse().unwrap();
        let asked = |value| retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(asked("120"), Some(120));
        assert_eq!(asked(" 0 "), Some(0));
        assert_eq!(asked("86400"), Some(HOUR));
        assert_eq!(asked("Tue, 10 Mar 2026 10:00:30 GMT"), Some(30));
        assert_eq!(asked("Tue, 10 Mar 2026 23:00:00 GMT"), Some(HOUR));
        assert_eq!(asked("Tue, 10 Mar 2026 09:00:00 GMT"), Some(0));
        for nonsense in ["", "soon", "-1", "1.5", "99999999999999999999"] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
    }
}
