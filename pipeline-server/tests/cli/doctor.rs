//! `pipeline-server doctor`.

use std::fs;
use std::path::Path;

use crate::daemon::{Daemon, PHOTO, fault, run};

/// The exit code and the lines on standard output.
fn doctor(data: &Path, args: &[&str]) -> (Option<i32>, Vec<String>) {
    let base = ["doctor", "--data", data.to_str().unwrap()];
    let output = run(&[&base[..], args].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    (
        output.status.code(),
        text.lines().map(str::to_owned).collect(),
    )
}

#[test]
fn it_finds_and_mends_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let daemon = Daemon::start(data, &["--model", "none"]);
    let id = daemon.upload(PHOTO);
    daemon.finished();
    let output = run(&["doctor", "--mend", "--data", data.to_str().unwrap()]);
    let line = fault(&output);
    assert!(line.contains("in use"), "{line}");
    daemon.signal("-TERM");
    daemon.wait();
    let sound = (Some(0), vec!["nothing is wrong".to_owned()]);
    assert_eq!(doctor(data, &[]), sound);

    let thumbnails = data.join("thumbnails").join(&id[..2]).join(&id);
    fs::remove_dir_all(thumbnails).unwrap();
    let lines = |outcome: &str, summary: &str| {
        let lost = |name| {
            format!(
                "thumbnail-lost: the thumbnail `{name}` of image {id} is gone or damaged{outcome}"
            )
        };
        let mut lines = vec![lost("small"), lost("medium")];
        lines.sort();
        lines.push(summary.to_owned());
        lines
    };
    let sorted = |(code, mut lines): (Option<i32>, Vec<String>)| {
        let end = lines.len() - 1;
        lines[..end].sort();
        (code, lines)
    };
    let told = lines("", "problems found: 2; --mend mends what can be mended");
    assert_eq!(sorted(doctor(data, &[])), (Some(1), told));
    let mended = lines(" (mended)", "problems found: 2, remaining: 0");
    assert_eq!(sorted(doctor(data, &["--mend"])), (Some(0), mended));
    assert_eq!(doctor(data, &[]), sound);

    let daemon = Daemon::start(data, &["--model", "none"]);
    assert_eq!(daemon.finished()[0]["status"], "success");
}

#[test]
fn a_folder_that_does_not_exist_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for args in [&[][..], &["--mend"]] {
        let base = ["doctor", "--data", data.to_str().unwrap()];
        let line = fault(&run(&[&base[..], args].concat()));
        assert!(line.contains("no database"), "{line}");
        assert!(!data.exists());
    }
}
