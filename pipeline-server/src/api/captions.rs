//! Captions: where they come from, those there were before, and those that people write.

use pipeline_core::Caption;
use pipeline_store::{CaptionRecord, CaptionSource};
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::types::{MaybeUndefined, ToJSON};
use poem_openapi::{Enum, Object, OpenApi};
use serde_json::{Map, Value};

use super::base_url::BaseUrl;
use super::images::parse_id;
use super::json::JsonBody;
use super::refused::{Refusals, Refused};
use super::types::{Image, milliseconds};
use super::{ApiError, Tag};
use crate::App;
use crate::events::What;

/// The longest caption that a person may write, in characters.
const MAX_TEXT: usize = 10_000;

/// A caption, with where it comes from.
#[derive(Debug, Object)]
pub(super) struct CaptionInfo {
    text: String,
    source: Source,
    /// The model that wrote it; null if a person did.
    #[oai(nullable)]
    model: Option<String>,
    /// SHA-256 of the model's weights, if it is known.
    #[oai(nullable)]
    weights_sha256: Option<String>,
    /// The model's settings, if it has any.
    #[oai(nullable)]
    settings: Option<Value>,
    /// How sure the model is: the mean natural logarithm of its tokens' probabilities; 0 is certain. Null if it is not
    /// known.
    #[oai(nullable)]
    score: Option<f64>,
    /// What is odd about the text: `empty`, or `repetition` where it says the same words over and over.
    #[oai(skip_serializing_if_is_none)]
    warning: Option<String>,
    /// When it was written, in UTC with milliseconds.
    created_at: String,
}

/// Who wrote a caption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase", rename = "CaptionSource")]
enum Source {
    /// A captioning model.
    Model,
    /// A person.
    Human,
}

impl CaptionInfo {
    pub(super) fn new(caption: &CaptionRecord) -> Self {
        Self {
            text: caption.text.clone(),
            source: match caption.source {
                CaptionSource::Model => Source::Model,
                CaptionSource::Human => Source::Human,
            },
            model: caption.model.clone(),
            weights_sha256: caption.weights_sha256.clone(),
            settings: parsed(caption.settings.as_deref()),
            score: caption.score.map(rounded),
            warning: caption.warning.clone(),
            created_at: milliseconds(caption.created_at),
        }
    }
}

/// What a model has just written, as [`CaptionInfo`] shows it but without a time: for records that are the same whenever
/// they are made.
pub(crate) fn caption_info(caption: &Caption) -> Map<String, Value> {
    let score = caption.score.filter(|score| score.is_finite());
    let info = CaptionInfo {
        text: caption.text.clone(),
        source: Source::Model,
        model: Some(caption.model.clone()),
        weights_sha256: caption.weights_sha256.clone(),
        settings: parsed(caption.settings.as_deref()),
        score: score.map(|score| rounded(score.into())),
        warning: caption.warning.map(|warning| warning.code().to_owned()),
        created_at: String::new(),
    };
    let Some(Value::Object(mut info)) = info.to_json() else {
        return Map::new();
    };
    info.remove("created_at");
    info
}

fn parsed(settings: Option<&str>) -> Option<Value> {
    settings.and_then(|text| serde_json::from_str(text).ok())
}

/// Four decimals tell captions apart.
fn rounded(score: f64) -> f64 {
    (score * 1e4).round() / 1e4
}

/// A caption that a picture has, or had before.
#[derive(Debug, Object)]
struct PastCaption {
    #[oai(flatten)]
    caption: CaptionInfo,
    /// Whether it is the picture's caption now.
    current: bool,
}

/// What is to be changed about a picture.
#[derive(Debug, Object)]
pub(super) struct Change {
    /// The caption that a person gives the picture; null takes it away, and the newest one by a model holds again.
    #[oai(nullable)]
    caption: MaybeUndefined<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Captions {
    app: App,
}

impl Captions {
    pub(super) fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }
}

#[OpenApi(prefix_path = "/api/images", tag = "Tag::Images")]
impl Captions {
    /// List all captions of a picture, newest first
    #[oai(
        path = "/:image_id/captions",
        method = "get",
        operation_id = "list_captions"
    )]
    async fn list(
        &self,
        /// The picture's id.
        image_id: Path<String>,
    ) -> Result<Json<Vec<PastCaption>>, Refused<Known>> {
        let id = parse_id(&image_id)?;
        let captions = self
            .app
            .blocking(move |app| Ok(app.store().captions(id)?))
            .await?
            .ok_or(ApiError::ImageNotFound)?;
        let past = |caption: &CaptionRecord| PastCaption {
            caption: CaptionInfo::new(caption),
            current: caption.is_current,
        };
        Ok(Json(captions.iter().map(past).collect()))
    }
}

/// Does what a client asked for, and shows the picture as it is then.
pub(super) async fn change(
    app: &App,
    base: &BaseUrl,
    image_id: &str,
    body: JsonBody<Change>,
) -> Result<Image, ApiError> {
    let change = body.read(app).await?;
    let id = parse_id(image_id)?;
    let text = text(change.caption)?;
    let record = app.blocking(move |app| {
        if !app.store().set_caption(id, text.as_deref())? {
            return Err(ApiError::ImageNotFound);
        }
        app.events().publish(id, What::Changed);
        app.store().image(id)?.ok_or(ApiError::ImageNotFound)
    });
    Ok(Image::new(record.await?, base, app.config().show_location))
}

/// What a person wrote, without the white space around it; `None` takes it away.
fn text(caption: MaybeUndefined<String>) -> Result<Option<String>, ApiError> {
    let refused = |why: &str| ApiError::BadBody {
        field: "caption",
        why: why.to_owned(),
    };
    match caption {
        MaybeUndefined::Undefined => Err(refused("Field required")),
        MaybeUndefined::Null => Ok(None),
        MaybeUndefined::Value(text) => match text.trim() {
            "" => Err(refused("Input should not be empty")),
            text if text.chars().count() > MAX_TEXT => {
                Err(refused("Input should have at most 10000 characters"))
            }
            text => Ok(Some(text.to_owned())),
        },
    }
}

#[derive(Debug)]
struct Known;

impl Refusals for Known {
    const ALL: &'static [ApiError] = &[ApiError::ImageNotFound];
}

/// What [`change`] answers besides the picture.
#[derive(Debug)]
pub(super) struct Changed;

impl Refusals for Changed {
    const ALL: &'static [ApiError] = &[
        ApiError::Malformed,
        ApiError::ImageNotFound,
        ApiError::Stalled,
        ApiError::InWork,
        ApiError::TooLarge { max_bytes: 0 },
        ApiError::BadBody {
            field: "",
            why: String::new(),
        },
    ];
}
