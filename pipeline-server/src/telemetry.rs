//! Log lines on standard error, as text or JSON.

use std::io::{self, IsTerminal};
use std::panic;

use tracing::error;
use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::{Error, Result};

/// Starts logging for the whole process, panics included: they are caught where they happen, and a line in the log is
/// all that is left of them.
///
/// ```
/// use pipeline_server::{LogFormat, start_logging};
///
/// start_logging(LogFormat::Text, "info,pipeline_server=debug")?;
/// assert_eq!(start_logging(LogFormat::Text, "=").unwrap_err().code(), "bad-log-filter");
/// # Ok::<(), pipeline_server::Error>(())
/// ```
///
/// # Errors
/// [`Error::LogFilter`] if `filter` cannot be read.
pub fn start(format: LogFormat, filter: &str) -> Result<()> {
    let parsed = EnvFilter::builder()
        .parse(filter)
        // poem tells at level info what our own lines already say.
        .and_then(|parsed| match filter.contains("poem") {
            true => Ok(parsed),
            false => Ok(parsed.add_directive("poem=warn".parse()?)),
        })
        .map_err(|e| Error::LogFilter {
            filter: filter.to_owned(),
            reason: e.to_string(),
        })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    // A second start in one process leaves the first logger in place, which is what an embedder's tests want.
    match format {
        LogFormat::Text => log.with_target(false).try_init().ok(),
        LogFormat::Json => log.json().flatten_event(true).try_init().ok(),
    };
    panic::set_hook(Box::new(|panic| error!("panicked: {panic}")));
    Ok(())
}
