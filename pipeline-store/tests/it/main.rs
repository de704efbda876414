//! The store's promises, through its public calls. `contract` holds what any store must keep; the other modules look at
//! the folder too.

#![allow(clippy::unwrap_used, reason = "all of this is tests, helpers included")]

mod captions;
mod contract;
mod doctor;
mod early;
mod faults;
mod files;
mod find;
mod leases;
mod migration;
mod outbox;
mod recovery;
mod repeat;
mod support;
mod sweep;
mod turns;
