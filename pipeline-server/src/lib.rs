#![doc = include_str!("../README.md")]

mod admission;
mod api;
mod app;
mod cli;
mod config;
mod doctor;
mod error;
mod hub;
mod model;
mod runner;
mod serve;
mod shutdown;
mod telemetry;
mod upload;

pub use app::App;
pub use cli::{Args, Command, Doctor, LogFormat};
pub use config::{Config, ModelChoice};
pub use doctor::run as run_doctor;
pub use error::{Error, Result};
pub use serve::{bind, run};
pub use shutdown::signal as shutdown_signal;
pub use telemetry::start as start_logging;
