//! What the whole product promises, tested from outside.

mod blip_folder;
mod blip_reference;
mod reference;
mod stock_blip;
mod threads;
mod tiny_reference;
mod torch_file;
