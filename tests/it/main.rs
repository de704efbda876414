//! What the whole product promises, tested from outside.

mod pictures;
