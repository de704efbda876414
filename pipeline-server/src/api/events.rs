//! Server-sent events: what happens to all pictures, or to one.

use std::collections::HashMap;
use std::fmt::Write;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use pipeline_store::{ImageId, ImageRecord};
use poem::http::{HeaderMap, HeaderName, StatusCode, header};
use poem::{Body, IntoResponse, Response};
use poem_openapi::param::{Path, Query};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchema};
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Object, OpenApi};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;

use super::base_url::BaseUrl;
use super::images::parse_id;
use super::refused::{Refusals, Refused};
use super::types::{Image, Status};
use super::wait::is_in_work;
use super::{ApiError, Tag};
use crate::App;
use crate::events::{Event, Follower, News, What};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How often a stream shows that it is alive when there is nothing to tell.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Debug, Clone)]
pub(super) struct Feeds {
    app: App,
}

impl Feeds {
    pub(super) fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Images")]
impl Feeds {
    /// Follow all pictures
    ///
    /// Server-sent events: `accepted`, `stage`, `done`, `changed`, `deleted`; and `reset` for a client that has missed
    /// more than is kept, which has to load the list anew.
    #[oai(path = "/events", method = "get", operation_id = "follow_images")]
    async fn all(
        &self,
        headers: &HeaderMap,
        base: BaseUrl,
        /// As the header `Last-Event-ID`: the last event that the client has seen.
        last_event_id: Query<Option<String>>,
    ) -> Result<Reply, Refused<All>> {
        let after = last_seen(headers, last_event_id.0.as_deref());
        let follower = self.app.events().follow(after, None);
        Ok(Feed::new(&self.app, base, follower, None)?.reply())
    }

    /// Follow one picture
    ///
    /// As for all pictures; the stream ends with `done` or `deleted`.
    #[oai(
        path = "/images/:image_id/events",
        method = "get",
        operation_id = "follow_image"
    )]
    async fn one(
        &self,
        headers: &HeaderMap,
        base: BaseUrl,
        /// The picture's id.
        image_id: Path<String>,
        /// As the header `Last-Event-ID`: the last event that the client has seen.
        last_event_id: Query<Option<String>>,
    ) -> Result<Reply, Refused<One>> {
        let id = parse_id(&image_id)?;
        let after = last_seen(headers, last_event_id.0.as_deref());
        // From before the look at the picture, so that nothing falls in between.
        let mut follower = self.app.events().follow(after, Some(id));
        let image = self.app.blocking(move |app| Ok(app.store().image(id)?));
        image.await?.ok_or(ApiError::ImageNotFound)?;
        if is_in_work(&self.app, id).await? {
            return Ok(Feed::new(&self.app, base, follower, Some(id))?.reply());
        }
        if after.is_some() && follower.now().is_none() {
            // Browsers come back after every end, until they are told that there is no more.
            return Ok(Reply(StatusCode::NO_CONTENT.into()));
        }
        let mut feed = Feed::new(&self.app, base, follower, Some(id))?;
        feed.has_ended = true;
        Ok(feed.reply())
    }
}

/// The last event that a client has seen. What is no number is the id of no event of ours, as 0 is.
fn last_seen(headers: &HeaderMap, parameter: Option<&str>) -> Option<u64> {
    let header = headers
        .get(LAST_EVENT_ID)
        .map(|id| id.to_str().unwrap_or_default());
    let id = header.or(parameter).filter(|id| !id.is_empty())?;
    Some(id.parse().unwrap_or(0))
}

/// One stream on its way to a client.
struct Feed {
    app: App,
    base: BaseUrl,
    follower: Follower,
    image: Option<ImageId>,
    keep_alive: Duration,
    greeted: bool,
    /// The picture is done, and the client has to be told.
    has_ended: bool,
    over: bool,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    fn new(
        app: &App,
        base: BaseUrl,
        follower: Follower,
        image: Option<ImageId>,
    ) -> Result<Self, ApiError> {
        // A connection that is silent for too long is closed, whatever it is for.
        let idle = app.config().clients.idle_timeout;
        Ok(Self {
            app: app.clone(),
            base,
            follower,
            image,
            keep_alive: KEEP_ALIVE.min(idle / 3),
            greeted: false,
            has_ended: false,
            over: false,
            _place: app.events().place().ok_or(ApiError::TooManyStreams)?,
        })
    }

    fn reply(self) -> Reply {
        let pieces = stream::unfold(self, |mut feed| async {
            let piece = feed.next().await?;
            Some((Ok::<_, io::Error>(Bytes::from(piece)), feed))
        });
        let response = Response::builder()
            .content_type("text/event-stream")
            .header(header::CACHE_CONTROL, "no-store")
            // Proxies would wait for more.
            .header("X-Accel-Buffering", "no")
            .body(Body::from_bytes_stream(pieces));
        Reply(response)
    }

    /// The next piece of the stream; `None` at its end.
    async fn next(&mut self) -> Option<String> {
        if self.over {
            return None;
        }
        if !self.greeted {
            self.greeted = true;
            // An id alone is no event: it says where to go on if the connection breaks before the first one.
            return Some(format!("id: {}\n\n", self.follower.position()));
        }
        if self.has_ended {
            self.over = true;
            return Some(self.end().await);
        }
        tokio::select! {
            news = self.follower.next() => Some(match news? {
                News::Events(events) => self.tell(events).await,
                News::Missed => self.reset().await,
            }),
            () = sleep(self.keep_alive) => Some(":\n\n".to_owned()),
        }
    }

    async fn tell(&mut self, events: Vec<Event>) -> String {
        let records = self.records(&events).await;
        let mut text = String::new();
        for event in events {
            let record = records.get(&event.image).cloned().flatten();
            self.write(&mut text, event, record);
            if self.image.is_some() && event.what.is_end() {
                self.over = true;
                break;
            }
        }
        text
    }

    /// The pictures of these events as they are now. They are left out if they cannot be read; a client that needs one
    /// can ask for it.
    async fn records(&self, events: &[Event]) -> HashMap<ImageId, Option<ImageRecord>> {
        let shown = events.iter().filter(|event| event.what != What::Claimed);
        let mut records: HashMap<_, _> = shown.map(|event| (event.image, None)).collect();
        let read = self.app.blocking(move |app| {
            for (id, record) in &mut records {
                *record = app.store().image(*id)?;
            }
            Ok(records)
        });
        read.await.unwrap_or_default()
    }

    /// What a client is told that has missed something.
    async fn reset(&mut self) -> String {
        let id = self.follower.position();
        if let Some(image) = self.image {
            self.has_ended = !is_in_work(&self.app, image).await.unwrap_or(true);
        }
        format!("id: {id}\nevent: reset\ndata: {{}}\n\n")
    }

    /// What a client is told that comes when the picture is done.
    async fn end(&mut self) -> String {
        let mut text = String::new();
        if let Some(image) = self.image {
            let event = |what| Event {
                id: self.follower.position(),
                image,
                what,
            };
            let done = event(What::Done { success: true });
            match self.records(&[done]).await.remove(&image).flatten() {
                Some(record) => self.write(&mut text, done, Some(record)),
                None => self.write(&mut text, event(What::Deleted), None),
            }
        }
        text
    }

    fn write(&self, text: &mut String, event: Event, record: Option<ImageRecord>) {
        let show_location = self.app.config().show_location;
        let image = record.map(|record| Image::new(record, &self.base, show_location));
        let (name, body) = EventBody::new(event, image);
        let (id, body) = (event.id, body.to_json_string());
        // Writing to a string does not fail, and JSON has no line breaks.
        write!(text, "id: {id}\nevent: {name}\ndata: {body}\n\n").ok();
    }
}

/// The data of an event. Empty for `reset`.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "Event")]
pub(super) struct EventBody {
    /// The picture's id.
    image_id: Option<String>,
    /// Where the picture is on its way; absent once it is deleted.
    status: Option<Status>,
    /// With `stage`: `claimed` when a worker begins, then `metadata`, `thumbnails` and `caption` as each has ended.
    stage: Option<String>,
    /// With `stage`: how long that one took.
    duration_ms: Option<f64>,
    /// The picture as it is now, which may be further than at the time of the event.
    envelope: Option<Image>,
}

impl EventBody {
    /// The event's name and data.
    pub(super) fn new(event: Event, image: Option<Image>) -> (&'static str, Self) {
        let mut body = Self {
            image_id: Some(event.image.to_string()),
            status: Some(Status::Processing),
            stage: None,
            duration_ms: None,
            envelope: None,
        };
        let name = match event.what {
            What::Accepted => "accepted",
            What::Claimed => {
                body.stage = Some("claimed".to_owned());
                return ("stage", body);
            }
            What::Stage { name, took } => {
                body.stage = Some(name.to_owned());
                body.duration_ms = Some(took.as_secs_f64() * 1e3);
                "stage"
            }
            What::Done { success } => {
                let now = image.as_ref().map(Image::status);
                let then = match success {
                    true => Status::Success,
                    false => Status::Failed,
                };
                body.status = now.filter(|&now| now != Status::Processing).or(Some(then));
                "done"
            }
            What::Changed => {
                body.status = image.as_ref().map(Image::status);
                "changed"
            }
            What::Deleted => {
                body.status = None;
                return ("deleted", body);
            }
        };
        body.envelope = image;
        (name, body)
    }
}

/// A stream of events.
struct Reply(Response);

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        self.0
    }
}

impl ApiResponse for Reply {
    fn meta() -> MetaResponses {
        let events = MetaMediaType {
            content_type: "text/event-stream",
            schema: MetaSchemaRef::Inline(Box::new(MetaSchema {
                items: Some(Box::new(EventBody::schema_ref())),
                ..MetaSchema::new_with_format("array", "event-stream")
            })),
        };
        let response = |status, description, content| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content,
            headers: Vec::new(),
        };
        MetaResponses {
            responses: vec![
                response(200, "Server-sent events; `data` is JSON.", vec![events]),
                response(204, "There will be no more events.", Vec::new()),
            ],
        }
    }

    fn register(registry: &mut Registry) {
        EventBody::register(registry);
    }
}

#[derive(Debug)]
struct All;

impl Refusals for All {
    const ALL: &'static [ApiError] = &[ApiError::TooManyStreams];
}

#[derive(Debug)]
struct One;

impl Refusals for One {
    const ALL: &'static [ApiError] = &[ApiError::ImageNotFound, ApiError::TooManyStreams];
}
