//! What the whole product promises, tested from outside.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

mod blip_folder;
mod blip_reference;
mod reference;
mod stock_blip;
mod threads;
mod tiny_reference;
mod torch_file;
