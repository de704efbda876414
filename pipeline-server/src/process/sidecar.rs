//! The files beside a picture.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

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

/// Writes the file beside `path`.
pub(super) fn write(
    form: Sidecar,
    overwrite: bool,
    path: &Path,
    record: &Record,
) -> io::Result<Written> {
    let text = match (form, record.caption()) {
        (Sidecar::Json, _) => json(path, record)?,
        (Sidecar::Txt, Some(caption)) => format!("{caption}\n"),
        (Sidecar::Xmp, Some(caption)) => xmp(caption),
        (Sidecar::Txt | Sidecar::Xmp, None) => return Ok(Written::Yes),
    };
    let beside = beside(path, form);
    if overwrite {
        write_whole(&beside, text.as_bytes())?;
    } else if !write_new(&beside, text.as_bytes())? {
        return Ok(Written::Another(beside));
    }
    Ok(Written::Yes)
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
    use std::fs;

    use serde_json::Value;

    use super::*;
    use crate::process::record::Status;

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
            assert_eq!(write(form, false, &path, &record).unwrap(), Written::Yes);
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
            let written = write(form, false, &path, &record(Value::Null)).unwrap();
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
        let written = write(Sidecar::Xmp, false, &path, &record).unwrap();
        assert_eq!(written, Written::Another(other.clone()));
        assert_eq!(fs::read(&other).unwrap(), b"years of work");
        let written = write(Sidecar::Xmp, true, &path, &record).unwrap();
        assert_eq!(written, Written::Yes);
        assert_ne!(fs::read(&other).unwrap(), b"years of work");
    }
}
