//! The files beside a picture.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use sha2::{Digest as _, Sha256};

use super::record::{Record, shown};
use super::write::{write_new, write_whole};
use crate::cli::Sidecar;

/// What became of a file beside a picture.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is there, or there is nothing to write.
    Yes,
    /// There was another one before.
    Another(PathBuf),
}

/// Writes the files beside pictures, and knows its own: these may be replaced and removed, those of others never, unless
/// it was told so.
#[derive(Debug)]
pub(super) struct Sidecars {
    form: Option<Sidecar>,
    overwrite: bool,
    /// The digests of what was written, by the paths of the files, in this run and earlier ones.
    own: Mutex<HashMap<PathBuf, String>>,
}

impl Sidecars {
    /// `own` are those of earlier runs.
    pub(super) fn new(
        form: Option<Sidecar>,
        overwrite: bool,
        own: HashMap<PathBuf, String>,
    ) -> Self {
        Self {
            form,
            overwrite,
            own: Mutex::new(own),
        }
    }

    /// Writes the file beside `path`. Where there is nothing to say, there is none.
    pub(super) fn write(&self, path: &Path, record: &Record) -> io::Result<Written> {
        let Some(form) = self.form else {
            return Ok(Written::Yes);
        };
        let text = match (form, record.caption()) {
            (Sidecar::Json, _) => json(path, record)?,
            (Sidecar::Txt, Some(caption)) => format!("{caption}\n"),
            (Sidecar::Xmp, Some(caption)) => xmp(caption),
            (Sidecar::Txt | Sidecar::Xmp, None) => {
                self.remove(path)?;
                return Ok(Written::Yes);
            }
        };
        let beside = beside(path, form);
        if self.overwrite || self.is_own(&beside)? {
            write_whole(&beside, text.as_bytes())?;
        } else if !write_new(&beside, text.as_bytes())? {
            return Ok(Written::Another(beside));
        }
        self.own().insert(key(&beside), digest(text.as_bytes()));
        Ok(Written::Yes)
    }

    /// Removes the file beside `path` if it is one of these: what it says is true no more.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        let Some(form) = self.form else {
            return Ok(());
        };
        let beside = beside(path, form);
        if self.is_own(&beside)? {
            fs::remove_file(&beside)?;
        }
        self.own().remove(&key(&beside));
        Ok(())
    }

    /// The file beside `path` as it was written, for the journal: its path and its digest.
    pub(super) fn written(&self, path: &Path) -> Option<(PathBuf, String)> {
        let beside = key(&beside(path, self.form?));
        let digest = self.own().get(&beside)?.clone();
        Some((beside, digest))
    }

    /// Whether a file is there just as it was written.
    fn is_own(&self, beside: &Path) -> io::Result<bool> {
        let Some(known) = self.own().get(&key(beside)).cloned() else {
            return Ok(false);
        };
        match fs::read(beside) {
            Ok(found) => Ok(digest(&found) == known),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The list is whole after any panic.
    fn own(&self) -> MutexGuard<'_, HashMap<PathBuf, String>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same from whichever folder a run is started.
fn key(beside: &Path) -> PathBuf {
    std::path::absolute(beside).unwrap_or_else(|_| beside.to_owned())
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `cat.jpg.txt` for `cat.jpg`: the whole name stays, since there may be a `cat.png`.
fn beside(path: &Path, form: Sidecar) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(form.extension());
    name.into()
}

/// The record, with the name of the picture for its path: the two may move together.
fn json(path: &Path, record: &Record) -> io::Result<String> {
    let name = path.file_name().map(Path::new).unwrap_or(path);
    let record = Record {
        path: shown(name),
        ..record.clone()
    };
    Ok(serde_json::to_string_pretty(&record)? + "\n")
}

/// An XMP packet with the caption as `dc:description`, as Adobe's specification (part 1, 7.3) lays it out.
fn xmp(caption: &str) -> String {
    format!(
        "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>
<x:xmpmeta xmlns:x=\"adobe:ns:meta/\" x:xmptk=\"pipeline-server {version}\">
 <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">
  <rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\">
   <dc:description>
    <rdf:Alt>
     <rdf:li xml:lang=\"x-default\">{caption}</rdf:li>
    </rdf:Alt>
   </dc:description>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end=\"w\"?>
",
        version = env!("CARGO_PKG_VERSION"),
        caption = escaped(caption),
    )
}

/// Text between two tags of XML 1.0, which has no way to write most control characters.
fn escaped(text: &str) -> String {
    let mut xml = String::new();
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '\r' => xml.push_str("&#13;"),
            '\t' | '\n' => xml.push(c),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => xml.push('\u{fffd}'),
            c => drop(write!(xml, "{c}")),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::process::record::Status;

    fn sidecars(form: Sidecar, overwrite: bool) -> Sidecars {
        Sidecars::new(Some(form), overwrite, HashMap::new())
    }

    fn record(caption: Value) -> Record {
        let mut record = Record::failed(Path::new("photos/cat.jpg"), "", "");
        record.status = Status::Success;
        record.error = None;
        record.error_code = None;
        record.metadata.insert("caption".to_owned(), caption);
        record
    }

    #[test]
    fn each_form_says_the_caption() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cat.jpg");
        let record = record("a <cat> & a dog\u{1}".into());
        let read = |form| {
            let written = sidecars(form, false).write(&path, &record).unwrap();
            assert_eq!(written, Written::Yes);
            fs::read_to_string(beside(&path, form)).unwrap()
        };
        assert_eq!(read(Sidecar::Txt), "a <cat> & a dog\u{1}\n");
        let json: Value = serde_json::from_str(&read(Sidecar::Json)).unwrap();
        assert_eq!(json["path"], "cat.jpg");
        assert_eq!(json["metadata"]["caption"], "a <cat> & a dog\u{1}");
        let xmp = read(Sidecar::Xmp);
        assert!(
            xmp.contains(">a &lt;cat&gt; &amp; a dog\u{fffd}</rdf:li>"),
            "{xmp}"
        );
        assert!(folder.path().join("cat.jpg.xmp").is_file());
    }

    #[test]
    fn without_a_caption_there_is_nothing_to_say() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cat.jpg");
        for form in [Sidecar::Txt, Sidecar::Xmp] {
            let nothing = record(Value::Null);
            let written = sidecars(form, false).write(&path, &nothing).unwrap();
            assert_eq!(written, Written::Yes);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_others_wrote_stays_unless_told_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cat.jpg");
        let other = folder.path().join("cat.jpg.xmp");
        fs::write(&other, "years of work").unwrap();
        let record = record("a cat".into());
        let written = sidecars(Sidecar::Xmp, false).write(&path, &record).unwrap();
        assert_eq!(written, Written::Another(other.clone()));
        assert_eq!(fs::read(&other).unwrap(), b"years of work");
        let written = sidecars(Sidecar::Xmp, true).write(&path, &record).unwrap();
        assert_eq!(written, Written::Yes);
        assert_ne!(fs::read(&other).unwrap(), b"years of work");
    }
    #[test]
    fn ones_own_is_replaced_and_removed_and_what_others_made_of_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cat.jpg");
        let beside = folder.path().join("cat.jpg.txt");
        let mut sidecars = sidecars(Sidecar::Txt, false);
        for caption in ["a cat", "a dog"] {
            let written = sidecars.write(&path, &record(caption.into())).unwrap();
            assert_eq!(written, Written::Yes);
            let (known, digest) = sidecars.written(&path).unwrap();
            // As a later run reads it from the journal.
            let own = HashMap::from([(known, digest)]);
            sidecars = Sidecars::new(Some(Sidecar::Txt), false, own);
        }
        assert_eq!(fs::read(&beside).unwrap(), b"a dog\n");
        sidecars.remove(&path).unwrap();
        assert!(!beside.exists());
        assert_eq!(sidecars.written(&path), None);

        sidecars.write(&path, &record("a cat".into())).unwrap();
        fs::write(&beside, "my own words").unwrap();
        let written = sidecars.write(&path, &record("a dog".into())).unwrap();
        assert_eq!(written, Written::Another(beside.clone()));
        sidecars.remove(&path).unwrap();
        assert_eq!(fs::read(&beside).unwrap(), b"my own words");
    }
}
