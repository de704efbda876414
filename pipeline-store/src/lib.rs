#![doc = include_str!("../README.md")]

mod beside;
mod blobs;
mod captions;
mod checks;
mod clock;
mod config;
mod conn;
pub mod doctor;
mod error;
mod fail_point;
mod find;
mod id;
mod images;
mod intake;
mod jobs;
mod keys;
mod model;
mod outbox;
mod read;
mod schema;
mod stages;
mod stats;
mod store;
mod turns;
mod upload;

pub use clock::Clock;
pub use config::{Outbox, StoreConfig};
pub use error::{Error, Result};
#[cfg(feature = "fail-points")]
pub use fail_point::fail_point;
pub use id::{Cursor, ImageId, ParseError};
pub use model::{
    CaptionRecord, CaptionSource, CaptionerId, Filter, ImageRecord, ImageState, Job, Listing,
    Message, MinuteStats, Outcome, Page, Partial, Reprocessed, Similar, StageName, StageRecord,
    StageState, StageStats, Stages, Stats, Status, TakenBack, ThumbnailInfo,
};
pub use store::{Kept, Reused, Store};
pub use upload::Upload;
