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
mod health;
mod hooks;
mod hub;
mod metrics;
mod model;
mod models;
mod openapi;
mod pace;
mod pictures;
mod probe;
mod process;
mod runner;
mod serve;
mod shutdown;
mod telemetry;
mod upload;

pub use app::App;
pub use cli::{
    AccessArgs, Args, ClientArgs, Command, CommandLine, Doctor, Health, LogFormat, Models,
    PictureArgs, ProcessArgs, Secret, Sidecar, WebhookArgs, WebhookEvent,
};
pub use config::{
    Access, ApiKey, ClientLimits, Config, CorsOrigin, ModelChoice, Role, WebhookSecret, WebhookUrl,
    Webhooks,
};
pub use doctor::run as run_doctor;
pub use error::{Error, Result};
pub use health::run as run_health;
pub use models::run as run_models;
pub use openapi::run as run_openapi;
pub use process::{Ending, run as run_process};
pub use serve::{bind, run};
pub use shutdown::signal as shutdown_signal;
pub use telemetry::start as start_logging;
