//! The REST contract, over real sockets: a server on a free port of 127.0.0.1, and a client that sends exactly the bytes
//! it is told to send.

mod docs;
mod envelope;
mod http;
mod lifecycle;
mod limits;
mod list;
mod pictures;
mod service;
mod stats;
mod support;
mod thumbnails;
mod upload;
