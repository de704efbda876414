//! One listener: where it is in the row of events, and what it still has to hear.

use std::sync::Arc;

use pipeline_store::ImageId;
use tokio::sync::watch;

use super::{Event, Events, Signal};

/// The most events that are handed over at once.
const BATCH: usize = 64;

/// Hears every event after the one where it began, in order.
#[derive(Debug)]
pub(crate) struct Follower {
    events: Arc<Events>,
    signal: watch::Receiver<Signal>,
    after: u64,
    image: Option<ImageId>,
}

/// What a listener is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// These events, one or more.
    Events(Vec<Event>),
    /// It has missed some: everything may be different now.
    Missed,
}

impl Follower {
    pub(super) fn new(events: &Arc<Events>, after: u64, image: Option<ImageId>) -> Self {
        Self {
            events: Arc::clone(events),
            signal: events.signal.subscribe(),
            after,
            image,
        }
    }

    /// The id of the last event that it needs not hear again.
    pub(crate) fn position(&self) -> u64 {
        self.after
    }

    /// What is there to be told at this moment.
    pub(crate) fn now(&mut self) -> Option<News> {
        let ring = self.events.ring();
        let oldest = ring.newest - ring.kept.len() as u64;
        if !(oldest..=ring.newest).contains(&self.after) {
            self.after = ring.newest;
            return Some(News::Missed);
        }
        let heard = usize::try_from(self.after - oldest).unwrap_or(usize::MAX);
        let mut news = Vec::new();
        for event in ring.kept.iter().skip(heard) {
            self.after = event.id;
            if self.image.is_none_or(|image| image == event.image) {
                news.push(*event);
            }
            if news.len() == BATCH {
                break;
            }
        }
        (!news.is_empty()).then_some(News::Events(news))
    }

    /// Waits for something to be told; `None` once the events are closed. Nothing is lost when the wait is given up.
    pub(crate) async fn next(&mut self) -> Option<News> {
        loop {
            if self.signal.borrow_and_update().closed {
                return None;
            }
            if let Some(news) = self.now() {
                return Some(news);
            }
            self.signal.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{KEPT, What};
    use super::*;

    fn events() -> Arc<Events> {
        Arc::new(Events::new(1))
    }

    fn image_id() -> ImageId {
        uuid::Uuid::new_v4().to_string().parse().unwrap()
    }

    fn ids(news: Option<News>) -> Vec<u64> {
        match news {
            Some(News::Events(events)) => events.iter().map(|event| event.id).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_listener_hears_everything_once_in_order() {
        let events = events();
        let (one, other) = (image_id(), image_id());
        events.publish(one, What::Accepted);
        let mut all = events.follow(None, None);
        let start = all.position();
        assert_eq!(all.now(), None);
        events.publish(one, What::Claimed);
        events.publish(other, What::Accepted);
        assert_eq!(ids(all.now()), [start + 1, start + 2]);
        assert_eq!(all.now(), None);
        let mut again = events.follow(Some(start - 1), Some(one));
        assert_eq!(ids(again.now()), [start, start + 1]);
        assert_eq!(again.position(), start + 2);
    }

    #[test]
    fn whoever_missed_something_is_told_once() {
        let events = events();
        let image = image_id();
        let mut slow = events.follow(None, None);
        let start = slow.position();
        for _ in 0..KEPT {
            events.publish(image, What::Claimed);
        }
        let mut heard = 0;
        let mut patient = events.follow(Some(start), None);
        while let Some(news) = patient.now() {
            heard += ids(Some(news)).len();
        }
        assert_eq!(heard, KEPT);
        events.publish(image, What::Claimed);
        assert_eq!(slow.now(), Some(News::Missed));
        assert_eq!(slow.now(), None);
        // Ids of another start, before this one or after it.
        for strange in [0, start - 1, u64::MAX] {
            let mut stranger = events.follow(Some(strange), None);
            assert_eq!(stranger.now(), Some(News::Missed), "{strange}");
            assert_eq!(stranger.now(), None);
        }
    }

    #[test]
    fn whatever_is_forgotten_was_missed_by_all() {
        let events = events();
        let mut listener = events.follow(None, Some(image_id()));
        events.forget();
        assert_eq!(listener.now(), Some(News::Missed));
        assert_eq!(listener.now(), None);
    }

    #[tokio::test]
    async fn listeners_are_woken_by_events_and_sent_home_at_the_end() {
        let events = events();
        let mut listener = events.follow(None, None);
        let start = listener.position();
        let publisher = Arc::clone(&events);
        let publishing = std::thread::spawn(move || {
            publisher.publish(image_id(), What::Deleted);
        });
        assert_eq!(ids(listener.next().await), [start + 1]);
        publishing.join().unwrap();
        events.close();
        assert_eq!(listener.next().await, None);
        assert_eq!(events.follow(None, None).next().await, None);
    }

    #[test]
    fn listeners_that_stay_are_counted() {
        let events = events();
        let place = events.place();
        assert!(place.is_some() && events.place().is_none());
        drop(place);
        assert!(events.place().is_some());
    }
}
