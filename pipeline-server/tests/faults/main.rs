//! The real binary, broken on purpose: killed at every step and at random moments, hung, stopped under load, and with
//! disks that are full, read-only, broken or locked. Afterwards rows, files, statistics and answers have to agree.
//!
//! Needs the feature `fail-points`. `FAULT_KILLS=200` and `FAULT_LOCK_SECONDS=60` are the long forms.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

#[path = "../../../tests/http/chunked.rs"]
mod chunked;
mod disk;
mod hangs;
mod kills;
mod ledger;
mod process;
mod retry;
mod stop;
