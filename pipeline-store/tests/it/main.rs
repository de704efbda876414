//! The store's promises, through its public calls. `contract` holds what any store must keep; the other modules look at
//! the folder too.

#![allow(clippy::unwrap_used, reason = "all of this is tests, helpers included")]

mod contract;
mod doctor;
mod faults;
mod files;
mod leases;
mod recovery;
mod support;
mod sweep;
