//! Upload, read, list and delete pictures.

use std::num::NonZeroUsize;

use pipeline_store::{ImageId, Page};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::base_url::BaseUrl;
use super::refused::{Refusals, Refused};
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
    async fn upload(&self, form: MultipartForm) -> Result<Json<Accepted>, Refused<Upload>> {
        let result = upload::receive(&self.app, form).await;
        let outcome = result.as_ref().map_or_else(ApiError::code, |_| "accepted");
        self.app.metrics().upload(outcome);
        Ok(Json(Accepted::new(result?)))
    }

    /// List pictures, newest first
    ///
    /// All of them, unless `limit` or `cursor` is given; then the header `Link` leads to the next page.
    #[oai(path = "/", method = "get", operation_id = "list_images")]
    async fn list(
        &self,
        base: BaseUrl,
        /// The most pictures on a page: a whole number from 1.
        limit: Query<Option<String>>,
        /// Where the page starts, from the `Link` header of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<List, Refused<Pages>> {
        let paged = limit.is_some() || cursor.is_some();
        let page = page(limit.0.as_deref(), cursor.0)?;
        let listing = self
            .app
            .blocking(move |app| Ok(app.store().list(&page)?))
            .await?;
        let next = listing
            .next
            .map(|next| link(&base, limit.0.as_deref(), &next.to_string()));
        let show_location = self.app.config().show_location;
        let images = listing
            .images
            .into_iter()
            .map(|record| Image::new(record, &base, show_location))
            .collect();
        Ok(List::Page(
            Json(images),
            next.filter(|_| paged),
            paged.then_some(listing.total),
        ))
    }

    /// Read a picture
    ///
    /// With `wait` the answer comes as soon as the work has ended, or when that time is over.
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
        Json<Vec<Image>>,
        /// The next page, with `rel="next"`; only with `limit` or `cursor`.
        #[oai(header = "Link")]
        Option<String>,
        /// The number of all pictures; only with `limit` or `cursor`.
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
        limit: limit.transpose()?,
        after: after.transpose()?,
    })
}

fn link(base: &BaseUrl, limit: Option<&str>, cursor: &str) -> String {
    let limit = limit.map_or_else(String::new, |limit| format!("limit={limit}&"));
    let url = base.join(&format!("/api/images?{limit}cursor={cursor}"));
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
    ];
}

#[derive(Debug)]
struct One;

impl Refusals for One {
    const ALL: &'static [ApiError] = &[ApiError::ImageNotFound];
}
