//! The real binary: its flags, what it says when something is wrong, and how it stops.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

mod access;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod arenas;
#[path = "../../../tests/http/chunked.rs"]
mod chunked;
mod daemon;
mod doctor;
mod faults;
mod hub;
mod line;
mod load;
mod log;
mod models;
mod open_files;
mod process;
#[path = "../../../tests/http/receiver.rs"]
mod receiver;
#[cfg(target_os = "linux")]
mod soak;
mod stop;
mod usage;
mod webhooks;
