//! The real binary: its flags, what it says when something is wrong, and how it stops.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

mod daemon;
mod doctor;
mod faults;
mod hub;
mod stop;
mod usage;
