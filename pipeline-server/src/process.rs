//! The command `process`: files in, records out, as the server makes them.

mod analyst;
mod crew;
mod files;
mod journal;
mod record;
mod report;
mod sidecar;
mod watch;
mod write;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, thread};

use sha2::{Digest as _, Sha256};
use tracing::warn;

use crate::cli::{LogFormat, ProcessArgs};
use crate::{Config, Error, Result, model, shutdown, telemetry};
use analyst::{Analyst, Output};
use crew::{Alarm, Crew, Event, Task};
use files::{Found, Stamp, find};
use journal::{Journal, Note};
use record::{Record, shown};
use report::{Counts, Origin, Report};
use sidecar::Sidecars;
use watch::Still;

/// How often the folders are looked at with `--watch`.
const LOOK: Duration = Duration::from_secs(1);

/// How a run ended.
///
/// ```
/// use pipeline_server::Ending;
///
/// fn exit_code(ending: Ending) -> u8 {
///     match ending {
///         Ending::Done => 0,
///         Ending::SomeFailed => 1,
///         Ending::Interrupted => 130,
///     }
/// }
/// # assert_eq!(exit_code(Ending::SomeFailed), 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All pictures succeeded.
    Done,
    /// At least one picture failed.
    SomeFailed,
    /// A signal came before all were done.
    Interrupted,
}

/// Processes the files, writes a line for each to `out`, and a sum to standard error, until all are done or a signal
/// comes.
///
/// ```
/// use clap::Parser;
/// use pipeline_server::{Command, CommandLine, Ending};
///
/// # let folder = tempfile::tempdir()?;
/// # let (photos, state) = (folder.path().join("photos"), folder.path().join("state"));
/// # std::fs::create_dir(&photos)?;
/// # let (photos, state) = (photos.to_str().expect("UTF-8"), state.to_str().expect("UTF-8"));
/// let words = ["pipeline-server", "process", photos, "--model", "none", "--jsonl"];
/// # let words = [&words[..], &["--state", state]].concat();
/// let Some(Command::Process(args)) = CommandLine::parse_from(words).command else {
///     panic!("it is `process`")
/// };
/// let mut records = Vec::new();
/// assert_eq!(pipeline_server::run_process(&args, &mut records)?, Ending::Done);
/// assert!(records.is_empty()); // the folder is
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::NoSuchModel`], [`Error::Model`], [`Error::Hub`], [`Error::Journal`] and [`Error::System`]; what is wrong with
/// a file is in its line.
pub fn run(args: &ProcessArgs, out: &mut dyn Write) -> Result<Ending> {
    telemetry::start(LogFormat::Text, &args.log)?;
    // The data folder is what a server would have beside its settings for pictures.
    let config = Config::new("").with_pictures(args.pictures.clone())?;
    let thumbnails = args.thumbnails.as_deref().map(folder).transpose()?;
    let journal = open_journal(args)?;
    let captions = model::load(&config.model, config.precision)?;
    let own = journal.as_ref().map(Journal::sidecars).unwrap_or_default();
    let sidecars = Arc::new(Sidecars::new(args.sidecar, args.overwrite, own));
    let output = Output {
        sidecars: Arc::clone(&sidecars),
        thumbnails: args.thumbnails.clone(),
        here: system("find the current folder", Path::new(".").canonicalize())?,
    };
    let settings = settings(args, thumbnails.as_deref());
    let (crew, alarm) = Crew::start(config.workers.get(), Analyst::new(config, captions, output))?;
    interrupt_on_signals(alarm)?;
    let mut run = Run {
        args,
        skip: thumbnails,
        settings,
        journal,
        sidecars,
        crew,
        report: Report::new(out, args.jsonl),
        places: 0,
        untold: BTreeMap::new(),
    };
    let stopped = run.go();
    run.finish(stopped)
}

/// Why a run stops before its end.
enum Stopped {
    Interrupted,
    Failed(Error),
}

struct Run<'a> {
    args: &'a ProcessArgs,
    /// The folder of the thumbnails, with all links resolved.
    skip: Option<PathBuf>,
    settings: String,
    journal: Option<Journal>,
    sidecars: Arc<Sidecars>,
    crew: Crew,
    report: Report<'a>,
    /// Places in the output that are given away.
    places: usize,
    /// Files, by their places, whose records are in the journal and not told yet.
    untold: BTreeMap<usize, Stamp>,
}

impl Run<'_> {
    fn go(&mut self) -> Result<(), Stopped> {
        if !self.args.watch {
            let found = find(&self.args.paths, self.skip.as_deref());
            return self.batch(found);
        }
        let mut still = Still::default();
        loop {
            let found = find(&self.args.paths, self.skip.as_deref());
            let ready = still.look(found);
            self.batch(ready)?;
            if let Some(Event::Interrupted) = self.crew.wait(Some(LOOK)) {
                return Err(Stopped::Interrupted);
            }
        }
    }

    /// Processes some files, and waits until all are done.
    fn batch(&mut self, found: Vec<Found>) -> Result<(), Stopped> {
        let paths: Vec<String> = found.iter().map(|found| shown(&found.path)).collect();
        self.report.expect(paths.iter().map(String::as_str));
        let mut waiting = 0_usize;
        for Found { path, state } in found {
            let place = self.places;
            self.places += 1;
            let stamp = match state {
                Ok(stamp) => stamp,
                Err(reason) => {
                    let record = Record::failed(&path, "io-failed", reason);
                    self.tell(place, record, Origin::This)?;
                    continue;
                }
            };
            let journal = self.journal.as_ref();
            if let Some((record, told)) = journal.and_then(|j| j.finished(&stamp, &self.settings)) {
                let record = Record {
                    path: shown(&path),
                    ..record.clone()
                };
                let origin = if told {
                    Origin::Earlier
                } else {
                    Origin::Untold
                };
                if !told {
                    self.untold.insert(place, stamp);
                }
                self.tell(place, record, origin)?;
            } else {
                waiting += 1;
                self.crew.give(Task { place, path, stamp });
            }
        }
        while waiting > 0 {
            match self.crew.wait(None) {
                Some(Event::Done(result)) => {
                    let (task, record) = *result;
                    waiting -= 1;
                    self.done(&task, record)?;
                }
                Some(Event::Interrupted) => return Err(Stopped::Interrupted),
                Some(Event::Ended) => {}
                None => unreachable!("the alarm keeps the channel open"),
            }
        }
        Ok(())
    }

    fn done(&mut self, task: &Task, record: Record) -> Result<(), Stopped> {
        // Before it is told: what was told is never done again.
        self.note(task, &record)?;
        self.tell(task.place, record, Origin::This)
    }

    /// Writes down that a file is done, though its record may have to wait for an earlier one.
    fn note(&mut self, task: &Task, record: &Record) -> Result<(), Stopped> {
        if let Some(journal) = &mut self.journal {
            let noted = journal.append(Note {
                stamp: &task.stamp,
                settings: &self.settings,
                record,
                sidecar: self.sidecars.written(&task.path),
            });
            self.untold.insert(task.place, task.stamp.clone());
            return self.noted(noted);
        }
        Ok(())
    }

    /// Goes on without the journal if it cannot be written and nobody has asked for it.
    fn noted(&mut self, noted: io::Result<()>) -> Result<(), Stopped> {
        let (Some(journal), Err(source)) = (&self.journal, noted) else {
            return Ok(());
        };
        let error = Error::Journal {
            path: shown(journal.path()),
            source,
        };
        if self.args.resume.is_some() {
            return Err(Stopped::Failed(error));
        }
        warn!("{error}");
        self.journal = None;
        Ok(())
    }

    fn tell(&mut self, place: usize, record: Record, origin: Origin) -> Result<(), Stopped> {
        self.report.take(place, record, origin).map_err(unwritten)?;
        let waiting = self.untold.split_off(&self.report.next());
        let told = std::mem::replace(&mut self.untold, waiting);
        match &mut self.journal {
            Some(journal) => {
                let noted = journal.told(told.values());
                self.noted(noted)
            }
            None => Ok(()),
        }
    }

    fn finish(mut self, stopped: Result<(), Stopped>) -> Result<Ending> {
        let crew = self.crew;
        for (task, record) in crew.stop() {
            if let Some(journal) = &mut self.journal {
                let note = Note {
                    stamp: &task.stamp,
                    settings: &self.settings,
                    record: &record,
                    sidecar: self.sidecars.written(&task.path),
                };
                journal.append(note).ok();
            }
            self.report.take(task.place, record, Origin::This).ok();
            self.untold.insert(task.place, task.stamp);
        }
        let elapsed = self.report.elapsed();
        let counts = self.report.counts();
        let flushed = self.report.finish().map(drop).map_err(unwritten);
        if let (Ok(()), Some(journal)) = (&flushed, &mut self.journal) {
            journal.told(self.untold.values()).ok();
        }
        match stopped.and(flushed) {
            Err(Stopped::Failed(error)) => Err(error),
            Err(Stopped::Interrupted) if counts.done() < counts.found => {
                say(&interrupted(&counts, self.args, self.journal.is_some()));
                Ok(Ending::Interrupted)
            }
            Ok(()) | Err(Stopped::Interrupted) => {
                say(&counts.line(elapsed));
                // There is nothing to go on with. Who asks for a journal wants it for the next time.
                if let (Some(journal), None) = (self.journal, &self.args.resume) {
                    journal.remove().ok();
                }
                Ok(if counts.failed > 0 {
                    Ending::SomeFailed
                } else {
                    Ending::Done
                })
            }
        }
    }
}

fn interrupted(counts: &Counts, args: &ProcessArgs, has_journal: bool) -> String {
    let way = match (&args.resume, has_journal) {
        (Some(_), _) => "; the same command goes on from there",
        (None, true) => "; the same command with --resume goes on from there",
        (None, false) => "",
    };
    format!(
        "interrupted: {} of {} are done{way}",
        counts.done(),
        counts.found
    )
}

fn unwritten(source: io::Error) -> Stopped {
    Stopped::Failed(Error::System {
        doing: "write the results",
        source,
    })
}

/// Nothing can be done about a closed standard error.
fn say(line: &str) {
    writeln!(io::stderr(), "{line}").ok();
}

fn system<T>(doing: &'static str, result: io::Result<T>) -> Result<T> {
    result.map_err(|source| Error::System { doing, source })
}

/// Makes the folder for the thumbnails.
fn folder(path: &Path) -> Result<PathBuf> {
    let made = fs::create_dir_all(path).and_then(|()| path.canonicalize());
    system("make the folder for the thumbnails", made)
}

/// All that decides about what a finished file leaves behind. A file that was done with other settings is done again.
fn settings(args: &ProcessArgs, thumbnails: Option<&Path>) -> String {
    format!(
        "{} model={} precision={:?} optional_captions={} show_location={} sidecar={} thumbnails={}",
        env!("CARGO_PKG_VERSION"),
        args.pictures.model,
        args.pictures.precision,
        args.pictures.optional_captions,
        args.pictures.show_location,
        args.sidecar.map_or("none", |form| form.extension()),
        thumbnails.map_or_else(String::new, shown),
    )
}

/// The journal that was asked for, or else one of this run's own, if there is a place for it.
fn open_journal(args: &ProcessArgs) -> Result<Option<Journal>> {
    let failure = |path: &Path, source| Error::Journal {
        path: shown(path),
        source,
    };
    if let Some(Some(path)) = &args.resume {
        let journal = Journal::open(path, false);
        return journal.map(Some).map_err(|source| failure(path, source));
    }
    let Some(state) = state_folder(args) else {
        return match args.resume {
            Some(_) => Err(failure(
                Path::new("of the last run"),
                io::Error::other("there is no home folder to keep it in"),
            )),
            None => Ok(None),
        };
    };
    let path = state
        .join("pipeline-server")
        .join(journal_name(&args.paths));
    match Journal::open(&path, args.resume.is_none()) {
        Ok(journal) => Ok(Some(journal)),
        Err(source) if args.resume.is_some() => Err(failure(&path, source)),
        Err(source) => {
            warn!("{}", failure(&path, source));
            Ok(None)
        }
    }
}

fn state_folder(args: &ProcessArgs) -> Option<PathBuf> {
    let home = || env::home_dir().filter(|home| home.is_absolute());
    args.state
        .clone()
        .or_else(|| Some(home()?.join(".local/state")))
}

/// The same for the same paths, however they are written.
fn journal_name(paths: &[PathBuf]) -> String {
    let mut hash = Sha256::new();
    for path in paths {
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        hash.update(real.as_os_str().as_encoded_bytes());
        hash.update([0]);
    }
    let hash = hash.finalize();
    let name: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    name + ".journal"
}

/// Lets the first signal interrupt the run.
fn interrupt_on_signals(alarm: Alarm) -> Result<()> {
    let doing = "listen for signals";
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = system(doing, runtime)?;
    let signal = {
        let _inside = runtime.enter();
        system(doing, shutdown::signal())?
    };
    let wait = move || {
        runtime.block_on(signal);
        alarm.interrupt();
    };
    system(
        doing,
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(wait),
    )?;
    Ok(())
}
