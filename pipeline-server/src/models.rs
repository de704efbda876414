//! The command `models`: what is in the Hugging Face cache, and whether it is what the hub has.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use pipeline_core::Precision;
use sha1::{Digest as _, Sha1};
use sha2::{Digest as _, Sha256};

use crate::cli::Models;
use crate::config::ModelChoice;
use crate::{Error, Result, hub, model};

/// Does what `command` says and writes what came out. Returns whether nothing is wrong.
///
/// ```
/// use pipeline_server::Models;
///
/// let mut list = Vec::new();
/// pipeline_server::run_models(&Models::List, &mut list)?;
/// assert!(list.starts_with(b"tiny"));
/// # Ok::<(), pipeline_server::Error>(())
/// ```
///
/// # Errors
/// [`Error::NoSuchModel`], [`Error::Hub`], and [`Error::System`] if `out` cannot be written to.
pub fn run(command: &Models, out: &mut impl Write) -> Result<bool> {
    let told = match command {
        Models::List => list(out).map(|()| true),
        Models::Fetch { model } => {
            let folder = hub::fetch(id(model)?)?;
            writeln!(out, "{}", folder.display()).map(|()| true)
        }
        Models::Path { model } => {
            let id = id(model)?;
            let folder = hub::cached(id).ok_or_else(|| Error::NotFetched {
                model: id.to_owned(),
            })?;
            writeln!(out, "{}", folder.display()).map(|()| true)
        }
        Models::Verify { models } => return verify(models, out),
    };
    told.map_err(unwritten)
}

fn unwritten(source: io::Error) -> Error {
    Error::System {
        doing: "write the answer",
        source,
    }
}

/// The text, if it is an id of the hub.
fn id(text: &str) -> Result<&str> {
    match text.parse()? {
        ModelChoice::Hub(_) => Ok(text),
        _ => Err(Error::NotOnHub {
            model: text.to_owned(),
        }),
    }
}

fn list(out: &mut impl Write) -> io::Result<()> {
    let models = hub::list();
    let width = models.iter().map(|(id, _)| id.len()).fold(4, usize::max);
    writeln!(out, "{:width$}  in this binary", "tiny")?;
    for (id, folder) in models {
        match folder {
            Some(folder) => {
                let bytes = hub::files(&folder)
                    .into_iter()
                    .map(|file| size(&folder.join(file)));
                let megabytes = bytes.sum::<u64>().div_ceil(1_000_000);
                writeln!(out, "{id:width$}  {megabytes} MB in {}", folder.display())?;
            }
            None => writeln!(
                out,
                "{id:width$}  not complete; `models fetch {id}` fetches the rest"
            )?,
        }
    }
    Ok(())
}

fn size(file: &Path) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

fn verify(names: &[String], out: &mut impl Write) -> Result<bool> {
    let all = || {
        let complete = hub::list()
            .into_iter()
            .filter(|(_, folder)| folder.is_some());
        std::iter::once("tiny".to_owned())
            .chain(complete.map(|(id, _)| id))
            .collect()
    };
    let names: Vec<String> = match names {
        [] => all(),
        names => names.to_owned(),
    };
    let mut sound = true;
    for name in names {
        let choice: ModelChoice = name.parse()?;
        if let ModelChoice::Hub(id) = &choice {
            let folder = hub::cached(id).ok_or_else(|| Error::NotFetched { model: id.clone() })?;
            for file in hub::files(&folder) {
                let path = folder.join(file);
                let state = compare(&path).map_err(|source| Error::System {
                    doing: "read a file of a model",
                    source,
                })?;
                sound &= !matches!(state, State::Damaged);
                writeln!(out, "{name}: {file}: {}", state.words(&path)).map_err(unwritten)?;
            }
        }
        let loaded = match model::load(&choice, Precision::Full) {
            Ok(_) => "it loads".to_owned(),
            Err(error) => {
                sound = false;
                error.to_string()
            }
        };
        writeln!(out, "{name}: {loaded}").map_err(unwritten)?;
    }
    Ok(sound)
}

/// What a comparison with the hub's hash says.
enum State {
    Sound(&'static str),
    Damaged,
    Unknown,
}

impl State {
    fn words(&self, path: &Path) -> String {
        match self {
            Self::Sound(hash) => format!("as on the hub ({hash})"),
            Self::Damaged => {
                let blob = path.canonicalize().unwrap_or_else(|_| path.to_owned());
                format!(
                    "damaged; delete {} and fetch the model again",
                    blob.display()
                )
            }
            Self::Unknown => "the cache does not know its hash".to_owned(),
        }
    }
}

/// Compares a file with its hash. The cache has it under the name that the hub gave it: the SHA-256 of a large file, and
/// for a small one what git calls it, a SHA-1 over a head and the bytes.
fn compare(path: &Path) -> io::Result<State> {
    let blob = path.canonicalize()?;
    let expected = blob.file_name().unwrap_or_default().to_string_lossy();
    if !expected.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(State::Unknown);
    }
    let (hash, found) = match expected.len() {
        64 => {
            let mut hash = Sha256::new();
            each_block(&blob, |block| hash.update(block))?;
            ("SHA-256", hex(&hash.finalize()))
        }
        40 => {
            let mut hash = Sha1::new_with_prefix(format!("blob {}\0", size(&blob)));
            each_block(&blob, |block| hash.update(block))?;
            ("SHA-1 of git", hex(&hash.finalize()))
        }
        _ => return Ok(State::Unknown),
    };
    Ok(if found.eq_ignore_ascii_case(&expected) {
        State::Sound(hash)
    } else {
        State::Damaged
    })
}

fn each_block(path: &Path, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(()),
            read => take(&block[..read]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
