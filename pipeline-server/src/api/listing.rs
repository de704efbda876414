//! The list of pictures as a JSON array that is written a part at a time, so that the memory it takes does not grow with
//! the number of pictures.

use std::io;
use std::num::NonZeroUsize;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use pipeline_store::{Cursor, Listing, Page};
use poem::http::header;
use poem::{Body, IntoResponse, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use tracing::error;

use super::ApiError;
use super::base_url::BaseUrl;
use super::types::Image;
use crate::App;

/// The most pictures in memory for one answer, and so on one page.
pub(super) const MOST: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();

/// A JSON array of pictures.
pub(super) struct ImageArray(Body);

/// Turns records into JSON for one client.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    app: App,
    base: BaseUrl,
}

impl Writer {
    pub(super) fn new(app: &App, base: BaseUrl) -> Self {
        Self {
            app: app.clone(),
            base,
        }
    }

    pub(super) fn base(&self) -> &BaseUrl {
        &self.base
    }

    pub(super) async fn read(&self, page: Page) -> Result<Listing, ApiError> {
        self.app
            .blocking(move |app| Ok(app.store().list(&page)?))
            .await
    }

    /// The pictures of `first`, and no others.
    pub(super) fn page(&self, first: Listing) -> ImageArray {
        ImageArray(self.part(first, "[", "]").into())
    }

    /// The pictures of `first` and all that are older.
    pub(super) fn all(self, first: Listing) -> ImageArray {
        let Some(next) = first.next else {
            return self.page(first);
        };
        let head = self.part(first, "[", "");
        let rest = self.older(next);
        ImageArray(Body::from_bytes_stream(
            stream::once(async { Ok(head) }).chain(rest),
        ))
    }

    fn older(self, next: Cursor) -> impl Stream<Item = io::Result<Bytes>> {
        stream::unfold(Some((self, next)), |state| async {
            let (writer, next) = state?;
            let page = Page {
                limit: Some(MOST),
                after: Some(next),
            };
            match writer.read(page).await {
                Ok(listing) => {
                    let next = listing.next;
                    let close = if next.is_some() { "" } else { "]" };
                    let comma = if listing.images.is_empty() { "" } else { "," };
                    let part = writer.part(listing, comma, close);
                    Some((Ok(part), next.map(|next| (writer, next))))
                }
                // The status is sent: all that is left is to break off, so that nobody takes this for the whole list.
                Err(refusal) => {
                    error!("the list of pictures breaks off");
                    Some((Err(io::Error::other(refusal.code())), None))
                }
            }
        })
    }

    fn part(&self, listing: Listing, open: &str, close: &str) -> Bytes {
        let show_location = self.app.config().show_location;
        let images = listing
            .images
            .into_iter()
            .map(|record| Image::new(record, &self.base, show_location).to_json_string());
        let images: Vec<String> = images.collect();
        format!("{open}{}{close}", images.join(",")).into()
    }
}

impl Payload for ImageArray {
    const CONTENT_TYPE: &'static str = "application/json; charset=utf-8";

    fn check_content_type(content_type: &str) -> bool {
        poem_openapi::payload::Json::<Vec<Image>>::check_content_type(content_type)
    }

    fn schema_ref() -> MetaSchemaRef {
        Vec::<Image>::schema_ref()
    }

    fn register(registry: &mut Registry) {
        Vec::<Image>::register(registry);
    }
}

impl IntoResponse for ImageArray {
    fn into_response(self) -> Response {
        Response::builder()
            .header(header::CONTENT_TYPE, "application/json")
            .body(self.0)
    }
}
