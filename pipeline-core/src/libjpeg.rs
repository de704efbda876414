//! How libjpeg gives up.

use std::panic::{UnwindSafe, catch_unwind, resume_unwind};

/// Does `work` with libjpeg, which reports an error by unwinding with its message; gives that message.
pub(crate) fn catch<T>(work: impl FnOnce() -> T + UnwindSafe) -> Result<T, String> {
    catch_unwind(work).map_err(|panic| match panic.downcast::<String>() {
        Ok(message) => message
            .trim_start_matches("libjpeg fatal error: ")
            .to_owned(),
        Err(foreign) => resume_unwind(foreign),
    })
}
