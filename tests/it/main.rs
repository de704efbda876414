//! What the whole product promises, tested from outside: the REST contract over real sockets, with a server of its own
//! for each test and a client that sends exactly the bytes it is told to send; and the captioner against its references.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

mod access;
mod again;
mod blip_folder;
mod blip_reference;
mod captions;
#[path = "../http/chunked.rs"]
mod chunked;
mod docs;
mod early;
#[path = "../../examples/embed_server.rs"]
#[allow(dead_code, reason = "its `main` takes a fixed port")]
mod embed_server;
mod envelope;
mod events;
mod fast;
mod find;
mod fingerprints;
mod http;
mod lifecycle;
mod limits;
mod list;
mod metrics;
mod page;
mod pictures;
mod processing;
mod rates;
#[path = "../http/receiver.rs"]
mod receiver;
mod reference;
mod service;
mod slow;
mod stats;
mod stock_blip;
mod support;
mod threads;
mod thumbnails;
mod tiny_reference;
mod torch_file;
mod upload;
mod webhooks;
mod wire;
