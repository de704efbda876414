//! Places where tests make the process die, hang, or find its disk full. Without the feature `fail-points` they are
//! nothing, and no release has that feature.

use std::io;

/// Does what the test wants to happen at the place `name`: nothing, unless the file that the environment variable
/// `PIPELINE_FAIL_POINTS` names has a line with this name and an action: `abort`, `hang` (until the line is another or
/// gone, which is then done), `hang-first` (only whoever comes first), `panic`, `full`, `read-only` or `io`. The file is
/// read anew every time, so that a test can change its mind. Who hangs leaves a file beside it, `NAME.hangs`.
///
/// # Errors
/// That of a disk which is full, read-only or broken, if that is the action.
///
/// # Panics
/// If that is the action, or if the action is unknown.
#[cfg(feature = "fail-points")]
pub fn fail_point(name: &str) -> io::Result<()> {
    match action(name).as_deref() {
        None => Ok(()),
        Some("abort") => std::process::abort(),
        Some("hang-first") if !comes_first(name) => Ok(()),
        Some(hang @ ("hang" | "hang-first")) => {
            note_hang(name);
            while action(name).as_deref() == Some(hang) {
                std::thread::park_timeout(std::time::Duration::from_millis(10));
            }
            fail_point(name)
        }
        Some("panic") => panic!("the test wants a panic at `{name}`"),
        Some("full") => Err(io::ErrorKind::StorageFull.into()),
        Some("read-only") => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
        Some("io") => Err(io::Error::other("the disk is broken")),
        Some(other) => panic!("no such action at `{name}`: {other}"),
    }
}

/// Whether nobody else has come to the place `name` to hang there.
#[cfg(feature = "fail-points")]
fn comes_first(name: &str) -> bool {
    static SEEN: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
    let mut seen = crate::conn::lock(&SEEN);
    let first = !seen.iter().any(|known| known == name);
    if first {
        seen.push(name.to_owned());
    }
    first
}

/// Tells the test that somebody hangs at the place `name` from here on.
#[cfg(feature = "fail-points")]
fn note_hang(name: &str) {
    if let Some(script) = std::env::var_os("PIPELINE_FAIL_POINTS") {
        let note = std::path::Path::new(&script).with_file_name(format!("{name}.hangs"));
        std::fs::write(note, "").ok();
    }
}

/// What the script says about `name`.
#[cfg(feature = "fail-points")]
fn action(name: &str) -> Option<String> {
    let script = std::fs::read_to_string(std::env::var_os("PIPELINE_FAIL_POINTS")?).ok()?;
    let mut lines = script.lines();
    let action = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(action.to_owned())
}

/// The same inside of the database, as SQLite would say it.
#[cfg(feature = "fail-points")]
pub(crate) fn database() -> rusqlite::Result<()> {
    use rusqlite::ffi;

    fail_point("database").map_err(|error| {
        let code = match error.kind() {
            io::ErrorKind::StorageFull => ffi::SQLITE_FULL,
            io::ErrorKind::ReadOnlyFilesystem => ffi::SQLITE_READONLY,
            _ => ffi::SQLITE_IOERR,
        };
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    })
}

#[cfg(not(feature = "fail-points"))]
#[inline(always)]
#[allow(clippy::unnecessary_wraps, reason = "the other form of it can fail")]
pub(crate) fn fail_point(_name: &str) -> io::Result<()> {
    Ok(())
}
