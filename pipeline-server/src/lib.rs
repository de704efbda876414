#![doc = include_str!("../README.md")]

mod admission;
mod api;
mod app;
mod cli;
mod config;
mod disk;
mod doctor;
mod door;
mod error;
mod events;
mod hub;
mod metrics;
mod model;
mod pace;
mod runner;
mod serve;
mod shutdown;
mod telemetry;
mod upload;

pub use app::App;
pub use cli::{AccessArgs, Args, ClientArgs, Command, Doctor, LogFormat, Secret};
pub use config::{Access, ApiKey, ClientLimits, Config, CorsOrigin, ModelChoice, Role};
pub use doctor::run as run_doctor;
pub use error::{Error, Result};
pub use serve::{bind, run};
pub use shutdown::signal as shutdown_signal;
pub use telemetry::start as start_logging;
