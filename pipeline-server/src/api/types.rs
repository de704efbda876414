//! What the REST interface shows, as it goes over the wire, and how it is made from what the store holds.

use pipeline_core::{Digest, Metadata};
use pipeline_store::{ImageId, ImageRecord, ImageState, Stats, ThumbnailInfo};
use poem_openapi::types::MaybeUndefined;
use poem_openapi::{Enum, Object};

use crate::api::base_url::BaseUrl;
use crate::api::captions::CaptionInfo;
use crate::api::exif::ExifBody;
use crate::api::stages::{Minute, StageTimes, StagesBody};

/// The answer to an upload.
#[derive(Debug, Object)]
pub(crate) struct Accepted {
    /// The picture's id, a UUID.
    image_id: String,
    /// Always `processing`.
    status: Status,
}

impl Accepted {
    pub(crate) fn new(id: ImageId) -> Self {
        Self {
            image_id: id.to_string(),
            status: Status::Processing,
        }
    }
}

/// Where a picture is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(crate) enum Status {
    /// It waits, or is in work.
    Processing,
    /// All is done.
    Success,
    /// It could not be processed; `error` says why.
    Failed,
}

/// A picture, with what is known about it.
#[derive(Debug, Object)]
pub(crate) struct Image {
    status: Status,
    data: ImageData,
    /// Why the picture failed; null otherwise.
    #[oai(nullable)]
    error: Option<String>,
    /// A stable code for why the picture failed.
    #[oai(skip_serializing_if_is_none)]
    error_code: Option<String>,
}

/// What is known about a picture.
#[derive(Debug, Object)]
struct ImageData {
    /// A UUID.
    image_id: String,
    /// The file name that the client sent.
    original_name: String,
    /// When the work ended, in UTC with whole seconds; null while it goes on.
    #[oai(nullable)]
    processed_at: Option<String>,
    metadata: ImageMetadata,
    thumbnails: Thumbnails,
    /// When the upload was accepted, in UTC with milliseconds.
    uploaded_at: String,
    stages: StagesBody,
    /// The caption that holds, with where it comes from.
    #[oai(skip_serializing_if_is_none)]
    caption_info: Option<CaptionInfo>,
}

/// Facts about a picture. Empty unless the status is `success`.
#[derive(Debug, Default, Object)]
pub(crate) struct ImageMetadata {
    /// Stored width in pixels, before orientation is applied.
    #[oai(skip_serializing_if_is_none)]
    width: Option<u32>,
    /// Stored height in pixels, before orientation is applied.
    #[oai(skip_serializing_if_is_none)]
    height: Option<u32>,
    /// `jpg` or `png`.
    #[oai(skip_serializing_if_is_none)]
    format: Option<String>,
    /// The size of the uploaded file, in bytes.
    #[oai(skip_serializing_if_is_none)]
    size_bytes: Option<u64>,
    /// EXIF orientation, 2 to 8; absent when it is 1.
    #[oai(skip_serializing_if_is_none)]
    orientation: Option<u8>,
    /// SHA-256 of the uploaded file, as 64 hexadecimal digits.
    #[oai(skip_serializing_if_is_none)]
    sha256: Option<String>,
    /// A 64-bit pHash as 16 hexadecimal digits: pictures that look alike differ in few bits.
    #[oai(skip_serializing_if_is_none)]
    perceptual_hash: Option<String>,
    /// A ThumbHash in base64, a blurred placeholder to show while a thumbnail is loading.
    #[oai(skip_serializing_if_is_none)]
    thumbhash: Option<String>,
    /// What the camera wrote.
    #[oai(skip_serializing_if_is_none)]
    exif: Option<ExifBody>,
    /// A sentence about the picture; null if captions are off or this one failed.
    #[oai(nullable, skip_serializing_if = "MaybeUndefined::is_undefined")]
    caption: MaybeUndefined<String>,
    /// The model that wrote the caption; absent if a person did.
    #[oai(skip_serializing_if_is_none)]
    caption_model: Option<String>,
    /// Why there is no caption.
    #[oai(skip_serializing_if_is_none)]
    caption_error: Option<String>,
}

/// Absolute URLs of the thumbnails. Empty unless the status is `success`.
#[derive(Debug, Default, Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct Thumbnails {
    /// JPEG that fits into 256 × 256 pixels.
    small: Option<String>,
    /// JPEG that fits into 512 × 512 pixels.
    medium: Option<String>,
}

/// Counts and times.
#[derive(Debug, Object)]
pub(crate) struct StatsBody {
    /// All accepted pictures, those in work included.
    total: u64,
    /// Pictures that failed.
    failed: u64,
    /// Succeeded pictures of all, as a percentage with two decimals.
    success_rate: String,
    /// The mean over succeeded and failed pictures, in seconds; 0 when there are none.
    average_processing_time_seconds: f64,
    stages: StageTimes,
    /// The last 60 minutes, the present one last.
    recent: Vec<Minute>,
}

impl Image {
    pub(crate) fn status(&self) -> Status {
        self.status
    }

    /// `show_location` says whether the place in the EXIF block may be seen.
    pub(crate) fn new(record: ImageRecord, base: &BaseUrl, show_location: bool) -> Self {
        let id = record.id.to_string();
        // A model's, or a person's, who is no model.
        let by = record
            .caption
            .as_ref()
            .and_then(|known| known.model.clone());
        let sha256 = Digest::from(record.sha256).to_string();
        let early = Early {
            id: &id,
            sha256: &sha256,
            base,
            show_location,
        };
        let mut image = Self {
            status: Status::Processing,
            data: ImageData {
                image_id: id.clone(),
                original_name: record.original_name,
                processed_at: None,
                metadata: ImageMetadata::default(),
                thumbnails: Thumbnails::default(),
                uploaded_at: milliseconds(record.created_at),
                stages: StagesBody::new(record.stages, record.partial, &early),
                caption_info: record.caption.as_ref().map(CaptionInfo::new),
            },
            error: None,
            error_code: None,
        };
        match record.state {
            ImageState::Processing => {}
            ImageState::Success {
                processed_at,
                metadata,
                thumbnails,
                caption,
                caption_error,
                ..
            } => {
                image.status = Status::Success;
                image.data.processed_at = Some(whole_seconds(processed_at));
                image.data.thumbnails = Thumbnails::new(&id, &thumbnails, base);
                image.data.metadata = ImageMetadata::finished(
                    metadata,
                    Digest::from(record.sha256),
                    caption.map(|caption| caption.text),
                    by,
                    caption_error,
                    show_location,
                );
            }
            ImageState::Failed {
                processed_at,
                code,
                message,
                ..
            } => {
                image.status = Status::Failed;
                image.data.processed_at = Some(whole_seconds(processed_at));
                image.error = Some(message);
                image.error_code = Some(code);
            }
        }
        image
    }
}

/// What is shown of a picture in work, beside what was found.
#[derive(Clone, Copy)]
pub(super) struct Early<'a> {
    id: &'a str,
    sha256: &'a str,
    base: &'a BaseUrl,
    show_location: bool,
}

impl Early<'_> {
    pub(super) fn metadata(self, metadata: Metadata) -> ImageMetadata {
        ImageMetadata {
            sha256: Some(self.sha256.to_owned()),
            ..ImageMetadata::new(metadata, self.show_location)
        }
    }

    /// With what it takes to see them while the picture is in work.
    pub(super) fn thumbnails(self, stored: &[ThumbnailInfo]) -> Thumbnails {
        let early = |url: String| format!("{url}?early=true");
        let urls = Thumbnails::new(self.id, stored, self.base);
        Thumbnails {
            small: urls.small.map(early),
            medium: urls.medium.map(early),
        }
    }
}

impl ImageMetadata {
    /// All that is known about a picture whose work is done.
    pub(crate) fn finished(
        metadata: Metadata,
        sha256: Digest,
        caption: Option<String>,
        model: Option<String>,
        caption_error: Option<String>,
        show_location: bool,
    ) -> Self {
        Self {
            caption: caption.map_or(MaybeUndefined::Null, MaybeUndefined::Value),
            caption_model: model,
            caption_error,
            sha256: Some(sha256.to_string()),
            ..Self::new(metadata, show_location)
        }
    }

    fn new(metadata: Metadata, show_location: bool) -> Self {
        let (perceptual_hash, thumbhash) = metadata
            .fingerprint
            .map(|hashes| (hashes.perceptual_hash.into(), hashes.thumbhash.into()))
            .unzip();
        Self {
            width: Some(metadata.width),
            height: Some(metadata.height),
            format: Some(metadata.format.to_string()),
            size_bytes: Some(metadata.size_bytes),
            orientation: Some(metadata.orientation).filter(|&orientation| orientation != 1),
            perceptual_hash,
            thumbhash,
            exif: metadata
                .exif
                .and_then(|exif| ExifBody::new(*exif, show_location)),
            ..Self::default()
        }
    }
}

impl Thumbnails {
    fn new(id: &str, stored: &[ThumbnailInfo], base: &BaseUrl) -> Self {
        let url = |name: &str| {
            let mut stored = stored.iter();
            stored
                .any(|thumbnail| &*thumbnail.name == name)
                .then(|| base.join(&format!("/api/images/{id}/thumbnails/{name}")))
        };
        Self {
            small: url("small"),
            medium: url("medium"),
        }
    }
}

impl From<Stats> for StatsBody {
    fn from(stats: Stats) -> Self {
        Self {
            total: stats.total,
            failed: stats.failed,
            success_rate: percentage(stats.succeeded, stats.total),
            average_processing_time_seconds: stats.average_processing.unwrap_or_default(),
            stages: StageTimes::new(stats.stages),
            recent: stats.recent.iter().map(Minute::new).collect(),
        }
    }
}

fn percentage(part: u64, whole: u64) -> String {
    let rate = match whole {
        0 => 0.0,
        // Counts stay far below 2^52, where f64 is exact.
        _ => part as f64 / whole as f64 * 100.0,
    };
    format!("{rate:.2}%")
}

pub(super) fn milliseconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn whole_seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_two_decimals() {
        assert_eq!(percentage(0, 0), "0.00%");
        assert_eq!(percentage(2, 3), "66.67%");
        assert_eq!(percentage(1, 3), "33.33%");
        assert_eq!(percentage(3, 3), "100.00%");
    }

    #[test]
    fn times_lose_their_fraction() {
        let time: jiff::Timestamp = "2024-03-10T10:00:00.999Z".parse().unwrap();
        assert_eq!(whole_seconds(time), "2024-03-10T10:00:00Z");
    }
}
