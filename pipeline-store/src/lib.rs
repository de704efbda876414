#![doc = include_str!("../README.md")]

mod beside;
mod blobs;
mod config;
mod conn;
mod error;
mod id;
mod images;
mod jobs;
mod model;
mod schema;
mod stats;
mod store;
mod upload;

pub use config::StoreConfig;
pub use error::{Error, Result};
pub use id::{Cursor, ImageId, ParseError};
pub use model::{ImageRecord, ImageState, Job, Listing, Outcome, Page, Stats, ThumbnailInfo};
pub use store::Store;
pub use upload::Upload;
