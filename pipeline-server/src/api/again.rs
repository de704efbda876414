//! Pictures that are worked on once more.

use pipeline_store::{Filter, Reprocessed, StageName, Status as StoredStatus};
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};

use super::base_url::BaseUrl;
use super::filter::{format, time};
use super::images::parse_id;
use super::json::JsonBody;
use super::refused::{Refusals, Refused};
use super::types::{Image, Status};
use super::{ApiError, Tag};
use crate::App;
use crate::events::What;

#[derive(Debug, Clone)]
pub(super) struct Again {
    app: App,
}

impl Again {
    pub(super) fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }
}

#[OpenApi(prefix_path = "/api/images", tag = "Tag::Images")]
impl Again {
    /// Process pictures again
    ///
    /// All that the filter holds for, except those in work. New uploads go first.
    #[oai(
        path = "/reprocess",
        method = "post",
        operation_id = "reprocess_images"
    )]
    async fn all(&self, body: JsonBody<Order>) -> Result<Json<Done>, Refused<ByFilter>> {
        let Order { filter, dry_run } = body.read(&self.app).await?;
        let filter = filter.filter()?;
        let done = self.app.blocking(move |app| {
            let done = app.store().reprocess_all(&filter, dry_run)?;
            if !dry_run {
                // There may be more of them than events are kept.
                app.events().forget();
                app.runner().wake();
            }
            Ok(done)
        });
        Ok(Json(Done::new(done.await?, dry_run)))
    }

    /// Process a picture again
    ///
    /// From the beginning, as if nothing were known of it; its captions are kept.
    #[oai(
        path = "/:image_id/reprocess",
        method = "post",
        operation_id = "reprocess_image"
    )]
    async fn one(
        &self,
        base: BaseUrl,
        /// The picture's id.
        image_id: Path<String>,
    ) -> Result<Queued, Refused<One>> {
        let id = parse_id(&image_id)?;
        let record = self.app.blocking(move |app| {
            let queued = app.store().reprocess(id)?;
            let record = app.store().image(id)?.filter(|_| queued);
            if queued {
                app.events().publish(id, What::Changed);
                app.runner().wake();
            }
            record.ok_or(ApiError::ImageNotFound)
        });
        let show_location = self.app.config().show_location;
        Ok(Queued::Accepted(Json(Image::new(
            record.await?,
            &base,
            show_location,
        ))))
    }
}

#[derive(ApiResponse)]
enum Queued {
    /// The picture is in the queue.
    #[oai(status = 202)]
    Accepted(Json<Image>),
}

/// What is to be processed again.
#[derive(Debug, Object)]
struct Order {
    filter: FilterBody,
    /// Only counts.
    #[oai(default)]
    dry_run: bool,
}

/// Which pictures are meant: those for which all of it holds. An empty one means every picture.
#[derive(Debug, Object)]
#[oai(rename = "Filter")]
struct FilterBody {
    /// Words of the caption and the file name; the last one may be cut off.
    q: Option<String>,
    status: Option<Status>,
    /// `jpg` or `png`.
    format: Option<String>,
    /// A part of the camera's maker or model.
    camera: Option<String>,
    has_caption: Option<bool>,
    /// The size of the file in bytes, at the least.
    min_bytes: Option<u64>,
    /// The size of the file in bytes, at the most.
    max_bytes: Option<u64>,
    /// Uploaded then or later; a time as in RFC 3339.
    since: Option<String>,
    /// Uploaded then or earlier; a time as in RFC 3339.
    until: Option<String>,
    /// The newest caption by a model is by this one.
    model: Option<String>,
    /// It is not by this one, or there is none.
    model_not: Option<String>,
    /// Stages that have brought nothing.
    missing: Option<Vec<Missing>>,
}

/// A stage of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase", rename = "StageName")]
enum Missing {
    /// Reading the header.
    Metadata,
    /// Decoding, thumbnails and fingerprint.
    Thumbnails,
    /// The caption, be it a model's or a person's.
    Caption,
}

impl FilterBody {
    fn filter(self) -> Result<Filter, ApiError> {
        let bad = |field: &'static str, why: &str| ApiError::BadBody {
            field,
            why: why.to_owned(),
        };
        let at = |field, text: Option<String>| {
            text.map(|text| {
                time(&text).ok_or_else(|| bad(field, "Input should be a time as in RFC 3339"))
            })
            .transpose()
        };
        let known = |text: String| {
            format(&text).ok_or_else(|| bad("format", "Input should be 'jpg' or 'png'"))
        };
        let stage = |missing| match missing {
            Missing::Metadata => StageName::Metadata,
            Missing::Thumbnails => StageName::Thumbnails,
            Missing::Caption => StageName::Caption,
        };
        Ok(Filter {
            text: self.q,
            status: self.status.map(|status| match status {
                Status::Processing => StoredStatus::Processing,
                Status::Success => StoredStatus::Success,
                Status::Failed => StoredStatus::Failed,
            }),
            format: self.format.map(known).transpose()?,
            camera: self.camera,
            has_caption: self.has_caption,
            min_bytes: self.min_bytes,
            max_bytes: self.max_bytes,
            since: at("since", self.since)?,
            until: at("until", self.until)?,
            model: self.model,
            model_not: self.model_not,
            missing: self.missing.into_iter().flatten().map(stage).collect(),
        })
    }
}

/// What became of it.
#[derive(Debug, Object)]
struct Done {
    /// Pictures that the filter holds for, except those in work.
    matched: u64,
    /// Those of them that are in the queue now.
    queued: u64,
    dry_run: bool,
}

impl Done {
    fn new(done: Reprocessed, dry_run: bool) -> Self {
        Self {
            matched: done.matched,
            queued: done.queued,
            dry_run,
        }
    }
}

#[derive(Debug)]
struct One;

impl Refusals for One {
    const ALL: &'static [ApiError] = &[ApiError::ImageNotFound, ApiError::InWork];
}

#[derive(Debug)]
struct ByFilter;

impl Refusals for ByFilter {
    const ALL: &'static [ApiError] = &[
        ApiError::Malformed,
        ApiError::Stalled,
        ApiError::TooLarge { max_bytes: 0 },
        ApiError::BadBody {
            field: "",
            why: String::new(),
        },
    ];
}
