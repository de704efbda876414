//! What the whole product promises, tested from outside.

mod blip_reference;
mod reference;
mod tiny_reference;
