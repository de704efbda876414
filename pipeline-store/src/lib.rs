#![doc = include_str!("../README.md")]

mod beside;
mod blobs;
mod checks;
mod clock;
mod config;
mod conn;
pub mod doctor;
mod error;
mod fail_point;
mod id;
mod images;
mod intake;
mod jobs;
mod model;
mod schema;
mod stats;
mod store;
mod upload;

pub use clock::Clock;
pub use config::StoreConfig;
pub use error::{Error, Result};
#[cfg(feature = "fail-points")]
pub use fail_point::fail_point;
pub use id::{Cursor, ImageId, ParseError};
pub use model::{ImageRecord, ImageState, Job, Listing, Outcome, Page, Stats, ThumbnailInfo};
pub use store::Store;
pub use upload::Upload;
