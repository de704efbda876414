//! The command `doctor`: tells what is wrong with a data folder, and mends what can be mended.

use std::io::{self, Write};

use pipeline_store::{StoreConfig, doctor};

use crate::cli::Doctor;
use crate::{Error, Result};

/// Examines the data folder, mends it if that is wanted, and writes a line for each problem. Returns whether nothing is
/// wrong any more.
///
/// ```
/// use pipeline_server::{App, Config, Doctor};
///
/// # let folder = tempfile::tempdir()?;
/// # drop(App::start_with(Config::new(folder.path()), None)?);
/// let look = Doctor { data: folder.path().into(), mend: false };
/// let mut report = Vec::new();
/// assert!(pipeline_server::run_doctor(&look, &mut report)?);
/// assert_eq!(report, b"nothing is wrong\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Store`] if the folder cannot be examined, among others because a server has it open; [`Error::System`] if
/// `out` cannot be written to.
pub fn run(args: &Doctor, out: &mut impl Write) -> Result<bool> {
    let treat = if args.mend {
        doctor::mend
    } else {
        doctor::examine
    };
    let diagnosis = treat(&args.data, &StoreConfig::default()).map_err(Error::Store)?;
    write(&diagnosis, args.mend, out).map_err(|source| Error::System {
        doing: "write the report",
        source,
    })?;
    Ok(diagnosis.remaining.is_empty())
}

fn write(diagnosis: &doctor::Diagnosis, mend: bool, out: &mut impl Write) -> io::Result<()> {
    for problem in &diagnosis.found {
        let outcome = match mend {
            true if diagnosis.remaining.contains(problem) => " (not mended)",
            true => " (mended)",
            false => "",
        };
        writeln!(out, "{}: {problem}{outcome}", problem.code())?;
    }
    for problem in &diagnosis.remaining {
        if !diagnosis.found.contains(problem) {
            writeln!(out, "{}: {problem} (not mended)", problem.code())?;
        }
    }
    let remaining = diagnosis.remaining.len();
    match (diagnosis.found.len(), mend) {
        (0, _) if remaining == 0 => writeln!(out, "nothing is wrong"),
        (found, true) => writeln!(out, "problems found: {found}, remaining: {remaining}"),
        (found, false) => writeln!(
            out,
            "problems found: {found}; --mend mends what can be mended"
        ),
    }
}
