//! What a run tells: the records, in the order of the files, on standard output; how far it is on the terminal.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::record::{Record, Status};

/// Paths that are longer move their line to the right.
const WIDEST: usize = 48;

pub(super) struct Report<'a> {
    out: &'a mut dyn Write,
    jsonl: bool,
    width: usize,
    bar: ProgressBar,
    started: Instant,
    /// Records that wait for an earlier one.
    waiting: BTreeMap<usize, (Record, Origin)>,
    /// The place of the next record to be written.
    next: usize,
    counts: Counts,
}

/// How many pictures there are of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    /// All that were found.
    pub(super) found: usize,
    pub(super) succeeded: usize,
    pub(super) failed: usize,
    /// Of those that succeeded, in an earlier run.
    pub(super) earlier: usize,
}

/// Which run made a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    This,
    Earlier,
    /// An earlier run, which came to its end before it could tell it.
    Untold,
}

impl Origin {
    /// Lines of earlier runs were read then; whoever reads JSON wants all of it.
    fn is_told(self, jsonl: bool) -> bool {
        jsonl || self != Self::Earlier
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(out: &'a mut dyn Write, jsonl: bool) -> Self {
        // Nothing is drawn where standard error is no terminal.
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let form = "{bar:30} {pos}/{len}  {per_sec}  {eta} left";
        bar.set_style(
            ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self {
            out,
            jsonl,
            width: 0,
            bar,
            started: Instant::now(),
            waiting: BTreeMap::new(),
            next: 0,
            counts: Counts::default(),
        }
    }

    /// Says that there are more files to come, and how their paths read.
    pub(super) fn expect<'p>(&mut self, paths: impl Iterator<Item = &'p str>) {
        for path in paths {
            self.counts.found += 1;
            self.width = self.width.max(path.chars().count()).min(WIDEST);
        }
        self.bar.set_length(self.counts.found as u64);
        if !self.bar.is_hidden() {
            self.bar.enable_steady_tick(Duration::from_secs(1));
        }
    }

    /// The place of the next record to be written: all before it are.
    pub(super) fn next(&self) -> usize {
        self.next
    }

    /// Takes the record at `place`, and writes all whose turn it is.
    pub(super) fn take(&mut self, place: usize, record: Record, origin: Origin) -> io::Result<()> {
        match (record.status, origin) {
            (Status::Failed, _) => self.counts.failed += 1,
            (Status::Success, Origin::This) => self.counts.succeeded += 1,
            (Status::Success, Origin::Earlier | Origin::Untold) => {
                self.counts.succeeded += 1;
                self.counts.earlier += 1;
            }
        }
        match origin {
            Origin::This => self.bar.inc(1),
            Origin::Earlier | Origin::Untold => {
                // What was done before says nothing about the rate of this run.
                self.bar.set_position(self.bar.position() + 1);
                self.bar.reset_eta();
            }
        }
        self.waiting.insert(place, (record, origin));
        while let Some((record, origin)) = self.waiting.remove(&self.next) {
            self.next += 1;
            if origin.is_told(self.jsonl) {
                self.write(&record)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        let line = match self.jsonl {
            true => serde_json::to_string(record)?,
            false => record.line(self.width),
        };
        let out = &mut *self.out;
        self.bar.suspend(|| {
            writeln!(out, "{line}")?;
            out.flush()
        })
    }

    /// Writes what still waits for an earlier record that will not come, takes the bar off, and returns the counts.
    pub(super) fn finish(mut self) -> io::Result<Counts> {
        for (record, origin) in std::mem::take(&mut self.waiting).into_values() {
            if origin.is_told(self.jsonl) {
                self.write(&record)?;
            }
        }
        self.bar.finish_and_clear();
        Ok(self.counts)
    }

    /// Since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }
}

impl Counts {
    pub(super) fn done(&self) -> usize {
        self.succeeded + self.failed
    }

    /// A line about a run that took `time`.
    pub(super) fn line(&self, time: Duration) -> String {
        let (failed, earlier) = (self.failed, self.earlier);
        let mut line = format!("{}: {} done", pictures(self.found), self.succeeded);
        if earlier > 0 {
            line.push_str(&format!(", {earlier} of them before"));
        }
        if failed > 0 {
            line.push_str(&format!(", {failed} failed"));
        }
        let seconds = time.as_secs_f64();
        let rate = (self.done() - earlier) as f64 / seconds.max(0.001);
        line.push_str(&format!("; {seconds:.1} s, {rate:.1} a second"));
        line
    }
}

fn pictures(count: usize) -> String {
    match count {
        1 => "1 picture".to_owned(),
        count => format!("{count} pictures"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn record(name: &str) -> Record {
        Record::failed(Path::new(name), "io-failed", "gone")
    }

    #[test]
    fn the_order_is_that_of_the_files() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out, false);
        report.expect(["a", "b", "c", "dd"].into_iter());
        report.take(1, record("b"), Origin::This).unwrap();
        assert_eq!(report.next, 0);
        report.take(0, record("a"), Origin::This).unwrap();
        report.take(3, record("dd"), Origin::This).unwrap();
        let counts = report.finish().unwrap();
        assert_eq!((counts.found, counts.done()), (4, 3));
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().map(|line| &line[..4]).collect();
        assert_eq!(lines, ["a   ", "b   ", "dd  "]);
    }

    #[test]
    fn the_sum_is_a_sentence() {
        let counts = Counts {
            found: 10,
            succeeded: 7,
            failed: 2,
            earlier: 4,
        };
        let line = counts.line(Duration::from_millis(2500));
        assert_eq!(
            line,
            "10 pictures: 7 done, 4 of them before, 2 failed; 2.5 s, 2.0 a second"
        );
    }
}
