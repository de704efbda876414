//! What a webhook is told: what those who follow the events are told, in the frame of Standard Webhooks.

use pipeline_store::{ImageRecord, Message};
use poem_openapi::types::ToJSON;

use super::base_url::BaseUrl;
use super::events::EventBody;
use super::types::Image;
use crate::events::{Event, What};

/// The body of a message: its type is the event's name, and `data` the event's. `record` is the picture as it is now,
/// which may be further than at the time of the message, and `None` if it is deleted.
pub(crate) fn webhook_body(
    message: &Message,
    record: Option<ImageRecord>,
    base: &BaseUrl,
    show_location: bool,
) -> String {
    let image = record.map(|record| Image::new(record, base, show_location));
    let event = Event {
        id: 0,
        image: message.image,
        what: What::Done {
            success: message.success,
        },
    };
    let (name, body) = EventBody::new(event, image);
    let (ended_at, data) = (message.ended_at, body.to_json_string());
    // Neither has a character that JSON escapes.
    format!(r#"{{"type":"{name}","timestamp":"{ended_at}","data":{data}}}"#)
}
