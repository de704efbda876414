//! What others are told about the ends of work.

use jiff::Timestamp;

use crate::ImageId;

/// A message that waits in the outbox for one receiver: the work on an image has ended.
///
/// ```
/// use pipeline_store::Message;
///
/// /// What to log of it.
/// fn line(message: &Message) -> String {
///     let end = if message.success { "done" } else { "failed" };
///     format!("{}: picture {} is {end}, told after {} failures", message.id, message.image, message.attempts)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    pub(crate) seq: i64,
    /// Names the end of work: each has another one, and all receivers of it get the same.
    pub id: String,
    /// The image. It may be in work again by now, or deleted.
    pub image: ImageId,
    /// How the work ended.
    pub success: bool,
    /// When the work ended, to the millisecond.
    pub ended_at: Timestamp,
    /// Attempts to deliver it that failed.
    pub attempts: u32,
    /// When it is to be delivered, by the store's clock.
    pub due_at: Timestamp,
}
