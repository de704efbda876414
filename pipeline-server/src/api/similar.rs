//! Pictures that look like another one.

use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::base_url::BaseUrl;
use super::images::parse_id;
use super::refused::{Refusals, Refused};
use super::types::Image;
use super::{ApiError, Tag};
use crate::App;

const LIMIT: usize = 20;
const MAX_LIMIT: usize = 1_000;
const MAX_DISTANCE: u32 = 10;

#[derive(Debug, Clone)]
pub(super) struct Similar {
    app: App,
}

impl Similar {
    pub(super) fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }
}

/// A picture that looks like the one that was asked about.
#[derive(Debug, Object)]
struct Lookalike {
    /// In how many of 64 bits their perceptual hashes differ.
    distance: u32,
    image: Image,
}

#[OpenApi(prefix_path = "/api/images", tag = "Tag::Images")]
impl Similar {
    /// List pictures that look alike, the most alike first
    ///
    /// By their perceptual hashes; empty for a picture that has none yet.
    #[oai(
        path = "/:image_id/similar",
        method = "get",
        operation_id = "list_similar"
    )]
    async fn list(
        &self,
        base: BaseUrl,
        /// The picture's id.
        image_id: Path<String>,
        /// The most pictures, 1 to 1000; 20 unless given.
        limit: Query<Option<String>>,
        /// In how many of 64 bits the hashes may differ; 10 unless given.
        max_distance: Query<Option<String>>,
    ) -> Result<Json<Vec<Lookalike>>, Refused<Asked>> {
        let id = parse_id(&image_id)?;
        let limit = number("limit", limit.0, LIMIT, 1..=MAX_LIMIT)?;
        let distance = number("max_distance", max_distance.0, MAX_DISTANCE, 0..=64)?;
        let found = self
            .app
            .blocking(move |app| Ok(app.store().similar(id, distance, limit)?))
            .await?
            .ok_or(ApiError::ImageNotFound)?;
        let show_location = self.app.config().show_location;
        let lookalike = |found: pipeline_store::Similar| Lookalike {
            distance: found.distance,
            image: Image::new(found.image, &base, show_location),
        };
        Ok(Json(found.into_iter().map(lookalike).collect()))
    }
}

/// A parameter that is a number in a range; one without a value is not given.
fn number<N: std::str::FromStr + PartialOrd>(
    name: &'static str,
    given: Option<String>,
    unless_given: N,
    range: std::ops::RangeInclusive<N>,
) -> Result<N, ApiError> {
    let Some(input) = given.filter(|given| !given.is_empty()) else {
        return Ok(unless_given);
    };
    let number = input.parse().ok();
    number
        .filter(|number| range.contains(number))
        .ok_or(ApiError::BadFilter { name, input })
}

#[derive(Debug)]
struct Asked;

impl Refusals for Asked {
    const ALL: &'static [ApiError] = &[
        ApiError::ImageNotFound,
        ApiError::BadFilter {
            name: "",
            input: String::new(),
        },
    ];
}
