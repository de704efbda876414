//! The command `openapi`: the document of the REST interface, without a server to ask.

use std::io::{self, Write};

use crate::{App, Config, Error, Result};

/// Writes the document, as a server without API keys has it at `/openapi.json`.
///
/// ```
/// let mut document = Vec::new();
/// pipeline_server::run_openapi(&mut document)?;
/// assert!(document.starts_with(b"{"));
/// # Ok::<(), pipeline_server::Error>(())
/// ```
///
/// # Errors
/// [`Error::Store`] and [`Error::System`].
pub fn run(out: &mut impl Write) -> Result<()> {
    let system = |doing| move |source: io::Error| Error::System { doing, source };
    // The document is made of the same parts as a running server, and those want a folder.
    let folder = tempfile::tempdir().map_err(system("make a temporary folder"))?;
    let document = App::start_with(Config::new(folder.path()), None)?.openapi();
    writeln!(out, "{document}").map_err(system("write the document"))
}
