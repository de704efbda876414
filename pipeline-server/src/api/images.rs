//! Upload, read, list and delete pictures.

use std::num::NonZeroUsize;

use pipeline_store::{ImageId, Page};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::base_url::BaseUrl;
use super::captions::{self, Change, Changed};
use super::filter::{FilterParams, escaped};
use super::json::JsonBody;
use super::listing::{ImageArray, MOST, Writer};
use super::refused::{Refusals, Refused};
use super::sender::UploadKey;
use super::types::{Accepted, Image};
use super::{ApiError, MultipartForm, Tag, wait};
use crate::events::What;
use crate::{App, upload};

#[derive(Debug, Clone)]
pub(super) struct Images {
    app: App,
}

impl Images {
    pub(super) fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }
}

#[OpenApi(prefix_path = "/api/images", tag = "Tag::Images")]
impl Images {
    /// Upload a picture
    ///
    /// It is stored durably and processed in the background; read it by its id to see how far it is.
    #[oai(path = "/", method = "post", operation_id = "upload_image")]
    async fn upload(
        &self,
        /// A text of the client's choice: the same one with the same file, within 24 hours, is the same upload.
        #[oai(name = "Idempotency-Key")]
        key: UploadKey,
        form: MultipartForm,
    ) -> Result<Json<Accepted>, Refused<Upload>> {
        let result = match key.0 {
            Ok(key) => upload::receive(&self.app, form, key).await,
            Err(refusal) => Err(refusal),
        };
        let outcome = result.as_ref().map_or_else(ApiError::code, |_| "accepted");
        self.app.metrics().upload(outcome);
        Ok(Json(Accepted::new(result?)))
    }

    /// List pictures, newest first
    ///
    /// All of them, unless `limit` or `cursor` is given; then the header `Link` leads to the next page. Filters hold
    /// together, and one without a value is none.
    #[oai(path = "/", method = "get", operation_id = "list_images")]
    #[allow(
        clippy::too_many_arguments,
        reason = "each parameter is documented for itself"
    )]
    async fn list(
        &self,
        base: BaseUrl,
        /// The most pictures on a page: a whole number from 1. There are never more than 1,000.
        limit: Query<Option<String>>,
        /// Where the page starts, from the `Link` header of the page before.
        cursor: Query<Option<String>>,
        /// Words of the caption and the file name; the last one may be cut off.
        q: Query<Option<String>>,
        /// `processing`, `success` or `failed`.
        status: Query<Option<String>>,
        /// `jpg` or `png`.
        format: Query<Option<String>>,
        /// A part of the camera's maker or model.
        camera: Query<Option<String>>,
        /// `true` or `false`.
        has_caption: Query<Option<String>>,
        /// The size of the file in bytes, at the least.
        min_bytes: Query<Option<String>>,
        /// The size of the file in bytes, at the most.
        max_bytes: Query<Option<String>>,
        /// Uploaded then or later; a time as in RFC 3339.
        since: Query<Option<String>>,
        /// Uploaded then or earlier; a time as in RFC 3339.
        until: Query<Option<String>>,
    ) -> Result<List, Refused<Pages>> {
        let paged = limit.is_some() || cursor.is_some();
        let page = page(limit.0.as_deref(), cursor.0)?;
        let given = FilterParams::new([
            ("q", q.0),
            ("status", status.0),
            ("format", format.0),
            ("camera", camera.0),
            ("has_caption", has_caption.0),
            ("min_bytes", min_bytes.0),
            ("max_bytes", max_bytes.0),
            ("since", since.0),
            ("until", until.0),
        ]);
        let writer = Writer::new(&self.app, base, given.filter()?);
        let listing = writer.read(page).await?;
        let total = (paged || !given.is_empty()).then_some(listing.total);
        if !paged {
            return Ok(List::Page(writer.all(listing), None, total));
        }
        let next = listing
            .next
            .map(|next| link(writer.base(), limit.0.as_deref(), &next.to_string(), &given));
        Ok(List::Page(writer.page(listing), next, total))
    }

    /// Read a picture
    ///
    /// With `wait` the answer comes as soon as the work has ended, or when that time is over. Half of the connections may
    /// wait or follow events.
    #[oai(path = "/:image_id", method = "get", operation_id = "read_image")]
    async fn read(
        &self,
        base: BaseUrl,
        /// The picture's id.
        image_id: Path<String>,
        /// How long to wait for the end of the work: `10s`, `500ms`, or seconds; 60 s at the most.
        wait: Query<Option<String>>,
    ) -> Result<Json<Image>, Refused<Read>> {
        let id = parse_id(&image_id)?;
        wait::for_the_end(&self.app, id, wait.0.as_deref()).await?;
        let found = self
            .app
            .blocking(move |app| Ok(app.store().image(id)?))
            .await?;
        let record = found.ok_or(ApiError::ImageNotFound)?;
        let show_location = self.app.config().show_location;
        Ok(Json(Image::new(record, &base, show_location)))
    }

    /// Write a caption
    ///
    /// No work on the picture takes the place of what a person wrote.
    #[oai(path = "/:image_id", method = "patch", operation_id = "change_image")]
    async fn change(
        &self,
        base: BaseUrl,
        /// The picture's id.
        image_id: Path<String>,
        body: JsonBody<Change>,
    ) -> Result<Json<Image>, Refused<Changed>> {
        let changed = captions::change(&self.app, &base, &image_id, body).await?;
        Ok(Json(changed))
    }

    /// Delete a picture
    ///
    /// Its record, its thumbnails and its original.
    #[oai(path = "/:image_id", method = "delete", operation_id = "delete_image")]
    async fn delete(
        &self,
        /// The picture's id.
        image_id: Path<String>,
    ) -> Result<Deleted, Refused<One>> {
        let id = parse_id(&image_id)?;
        let existed = self
            .app
            .blocking(move |app| {
                let existed = app.store().delete(id)?;
                if existed {
                    app.events().publish(id, What::Deleted);
                }
                Ok(existed)
            })
            .await?;
        match existed {
            true => Ok(Deleted::Done),
            false => Err(ApiError::ImageNotFound.into()),
        }
    }
}

#[derive(ApiResponse)]
enum List {
    /// The pictures, as a bare array.
    #[oai(status = 200)]
    Page(
        ImageArray,
        /// The next page, with `rel="next"`; only with `limit` or `cursor`.
        #[oai(header = "Link")]
        Option<String>,
        /// The number of all pictures that the filters hold for; only with `limit`, `cursor` or a filter.
        #[oai(header = "X-Total-Count")]
        Option<u64>,
    ),
}

#[derive(ApiResponse)]
enum Deleted {
    /// The picture is gone.
    #[oai(status = 204)]
    Done,
}

/// Text that is not an id is the id of no picture. Only one spelling of an id is known, as in the reference.
pub(super) fn parse_id(text: &str) -> Result<ImageId, ApiError> {
    text.parse()
        .ok()
        .filter(|id: &ImageId| id.to_string() == text)
        .ok_or(ApiError::ImageNotFound)
}

fn page(limit: Option<&str>, cursor: Option<String>) -> Result<Page, ApiError> {
    let limit = limit.map(|text| {
        let number: Result<NonZeroUsize, _> = text.parse();
        number.map_err(|_| ApiError::BadLimit {
            input: text.to_owned(),
        })
    });
    let after = cursor.map(|text| {
        text.parse()
            .map_err(|_| ApiError::BadCursor { input: text })
    });
    Ok(Page {
        limit: Some(limit.transpose()?.map_or(MOST, |limit| limit.min(MOST))),
        after: after.transpose()?,
    })
}

fn link(base: &BaseUrl, limit: Option<&str>, cursor: &str, given: &FilterParams) -> String {
    let limit = limit.map_or_else(String::new, |limit| format!("limit={}&", escaped(limit)));
    let filters = given.query();
    let url = base.join(&format!("/api/images?{limit}cursor={cursor}{filters}"));
    format!("<{url}>; rel=\"next\"")
}

#[derive(Debug)]
struct Upload;

impl Refusals for Upload {
    const ALL: &'static [ApiError] = &[
        ApiError::WrongType,
        ApiError::TooLarge { max_bytes: 0 },
        ApiError::Stalled,
        ApiError::MissingFile,
        ApiError::QueueFull,
        ApiError::StorageFull,
    ];
}

#[derive(Debug)]
struct Pages;

impl Refusals for Pages {
    const ALL: &'static [ApiError] = &[ApiError::BadLimit {
        input: String::new(),
    }];
}

#[derive(Debug)]
struct Read;

impl Refusals for Read {
    const ALL: &'static [ApiError] = &[
        ApiError::ImageNotFound,
        ApiError::BadWait {
            input: String::new(),
        },
        ApiError::TooManyStreams,
    ];
}

#[derive(Debug)]
struct One;

impl Refusals for One {
    const ALL: &'static [ApiError] = &[ApiError::ImageNotFound];
}
