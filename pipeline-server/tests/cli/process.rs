//! `pipeline-server process`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::{Daemon, PHOTO, command};

/// Pictures of many kinds.
const PICTURES: [&str; 7] = [
    "cmyk-adobe.jpg",
    "exif-gps.jpg",
    "icc-p3.jpg",
    "mpo.jpg",
    "orientation-6.jpg",
    "png-palette-transparent.png",
    "png-rgb16.png",
];

/// A folder with photos, and one for the journals.
struct Desk {
    folder: TempDir,
}

impl Desk {
    /// With `count` copies of one photo, `000.jpg` and so on.
    fn with(count: usize) -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(desk.photos()).unwrap();
        for number in 0..count {
            desk.put(&format!("{number:03}.jpg"), PHOTO);
        }
        desk
    }

    fn photos(&self) -> PathBuf {
        self.folder.path().join("photos")
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.photos().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// `process photos`, run in the folder around it.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = command(&[&["process", "photos"], args].concat());
        command
            .env("XDG_STATE_HOME", self.state())
            .current_dir(self.folder.path());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The lines of the only journal, if there is one.
    fn journal(&self) -> Option<Vec<Value>> {
        let mut files = fs::read_dir(self.state().join("pipeline-server")).ok()?;
        let file = files.next()?.unwrap().path();
        assert!(files.next().is_none());
        let text = fs::read_to_string(file).unwrap();
        let whole = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let lines = whole.map(|line| serde_json::from_str(line).unwrap());
        // Others say which of them were told later.
        Some(
            lines
                .filter(|line: &Value| line.get("file").is_some())
                .collect(),
        )
    }
}

fn records(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/pictures");
    fs::read(folder.join(name)).unwrap()
}

fn signal(child: &Child, signal: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn its_records_are_those_of_the_server() {
    let desk = Desk::with(0);
    for name in PICTURES {
        desk.put(name, &fixture(name));
    }
    desk.put("truncated.jpg", &PHOTO[..PHOTO.len() / 2]);
    desk.put("zzz.png", b"\x89PNG\r\n\x1a\n and nothing more");
    let output = desk.run(&["--jsonl", "--thumbnails", "thumbs"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let records = records(&output);
    assert_eq!(records.len(), PICTURES.len() + 2);

    let data = desk.folder.path().join("data");
    let daemon = Daemon::start(&data, &[]);
    let mut failed = 0;
    for record in &records {
        let path = desk.folder.path().join(record["path"].as_str().unwrap());
        let id = daemon.upload(&fs::read(&path).unwrap());
        let images = daemon.finished();
        let image = images
            .iter()
            .find(|image| image["data"]["image_id"] == *id)
            .unwrap();
        for field in ["status", "error"] {
            assert_eq!(record[field], image[field], "{record}");
        }
        assert_eq!(
            record.get("error_code"),
            image.get("error_code"),
            "{record}"
        );
        assert_eq!(record["metadata"], image["data"]["metadata"], "{record}");
        // Records are the same whenever they are made, so that they have no time.
        let mut theirs = image["data"]["caption_info"].clone();
        if let Some(theirs) = theirs.as_object_mut() {
            assert!(theirs.remove("created_at").is_some());
        }
        assert_eq!(record["caption_info"], theirs, "{record}");
        if record["status"] == "failed" {
            failed += 1;
            continue;
        }
        assert!(!record["metadata"]["caption"].as_str().unwrap().is_empty());
        let info = &record["caption_info"];
        assert!(info["score"].is_f64() && info["settings"].is_object());
        assert_eq!(info["weights_sha256"].as_str().unwrap().len(), 64);
        for size in ["small", "medium"] {
            let ours = desk
                .folder
                .path()
                .join(record["thumbnails"][size].as_str().unwrap());
            let theirs = daemon.download(&format!("/api/images/{id}/thumbnails/{size}"));
            assert!(fs::read(ours).unwrap() == theirs, "{record}");
        }
    }
    assert_eq!(failed, 2, "the truncated one and the one without pixels");
}

#[test]
fn any_number_of_workers_writes_the_same() {
    let desk = Desk::with(6);
    desk.put("003.jpg", b"\xff\xd8\xff no picture");
    let mut outputs = ["1", "4"].map(|workers| desk.run(&["--jsonl", "--workers", workers]));
    assert_eq!(records(&outputs[0]).len(), 6);
    assert!(outputs[0].stdout == outputs[1].stdout);
    outputs = ["1", "4"].map(|workers| desk.run(&["--workers", workers]));
    let text = std::str::from_utf8(&outputs[0].stdout).unwrap();
    assert!(outputs[0].stdout == outputs[1].stdout);
    assert_eq!(text.lines().count(), 6);
    assert!(
        text.lines().all(|line| line.starts_with("photos/00")),
        "{text}"
    );
    assert!(text.contains("photos/003.jpg  failed: "), "{text}");
}

#[test]
fn a_kill_costs_only_the_pictures_in_work() {
    let desk = Desk::with(12);
    let mut child = desk.start(&["--jsonl", "--workers", "1"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        lines.next().unwrap().unwrap();
    }
    signal(&child, "-KILL");
    child.wait().unwrap();
    let before = desk.journal().unwrap();
    assert!((3..12).contains(&before.len()), "{}", before.len());

    let output = desk.run(&["--jsonl", "--resume"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let sum = format!("12 pictures: 12 done, {} of them before; ", before.len());
    assert!(stderr(&output).starts_with(&sum), "{}", stderr(&output));
    // All of them are told, and each was done once.
    let records = records(&output);
    let paths: Vec<_> = records
        .iter()
        .map(|record| record["path"].as_str().unwrap())
        .collect();
    let expected: Vec<_> = (0..12)
        .map(|number| format!("photos/{number:03}.jpg"))
        .collect();
    assert_eq!(paths, expected);
    let after = desk.journal().unwrap();
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.len(), 12);

    // Whoever changes a file has it done again; whoever touches it has not.
    desk.put("004.jpg", &fixture("exif-gps.jpg"));
    desk.put("005.jpg", PHOTO);
    let output = desk.run(&["--resume"]);
    assert_eq!(
        stderr(&output).split("; ").next().unwrap(),
        "12 pictures: 12 done, 11 of them before"
    );
    assert_eq!(
        std::str::from_utf8(&output.stdout).unwrap().lines().count(),
        1
    );
    // Another model has to do all of them.
    let output = desk.run(&["--resume", "--model", "none"]);
    assert_eq!(
        stderr(&output).split("; ").next().unwrap(),
        "12 pictures: 12 done"
    );
}

#[test]
fn what_waited_for_an_earlier_record_at_a_kill_is_told_by_the_next_run() {
    let desk = Desk::with(3);
    let args = ["--model", "none", "--workers", "1", "--resume=my/journal"];
    assert_eq!(desk.run(&args).status.code(), Some(0));
    // A kill while the first was in work and the second, which was done, waited for it.
    let path = desk.folder.path().join("my/journal");
    let journal = fs::read_to_string(&path).unwrap();
    let is_kept = |line: &&str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let is = |file: &Value, name: &str| file.as_str().unwrap().ends_with(name);
        match (line.get("file"), line.get("told")) {
            (Some(file), _) => !is(file, "000.jpg"),
            (None, told) => is(&told.unwrap()[0], "002.jpg"),
        }
    };
    let kept: Vec<&str> = journal.lines().filter(is_kept).collect();
    assert_eq!(kept.len(), 3, "{journal}");
    fs::write(&path, kept.join("\n") + "\n").unwrap();

    let told = |output: Output| -> Vec<String> {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let names = text.lines().map(|line| line.split(' ').next().unwrap());
        names.map(str::to_owned).collect()
    };
    assert_eq!(told(desk.run(&args)), ["photos/000.jpg", "photos/001.jpg"]);
    assert!(told(desk.run(&args)).is_empty(), "once is enough");
}

#[test]
fn an_interruption_says_how_to_go_on() {
    for (sent, args) in [("-INT", &[][..]), ("-TERM", &["--resume=my/journal"])] {
        let desk = Desk::with(12);
        let mut child = desk.start(&[&["--workers", "1"], args].concat());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        signal(&child, sent);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
        let expected = match args {
            [] => "the same command with --resume goes on from there\n",
            _ => "the same command goes on from there\n",
        };
        assert!(
            stderr(&output).starts_with("interrupted: "),
            "{}",
            stderr(&output)
        );
        assert!(stderr(&output).ends_with(expected), "{}", stderr(&output));

        let again = if args.is_empty() { &["--resume"] } else { args };
        let output = desk.run(again);
        assert_eq!(output.status.code(), Some(0));
        assert!(stderr(&output).contains("12 done, "), "{}", stderr(&output));
    }
}

#[test]
fn nothing_is_left_behind_by_a_run_that_ends() {
    let desk = Desk::with(2);
    let output = desk.run(&["--model", "none"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(desk.journal(), None);
    assert_eq!(fs::read_dir(desk.photos()).unwrap().count(), 2);
}

#[test]
fn one_bad_file_stops_nothing_and_the_exit_code_tells() {
    let desk = Desk::with(2);
    desk.put("000-broken.jpg", b"\xff\xd8\xff no picture");
    desk.put("note.txt", b"no picture at all");
    let output = desk.run(&["--jsonl", "--model", "none", "missing", "photos/note.txt"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let found: Vec<_> = records(&output)
        .into_iter()
        .map(|record| (record["path"].clone(), record["error_code"].clone()))
        .collect();
    let expected = [
        ("photos/000-broken.jpg", Some("decode-failed")),
        ("photos/000.jpg", None),
        ("photos/001.jpg", None),
        ("missing", Some("io-failed")),
        ("photos/note.txt", Some("unknown-format")),
    ];
    assert_eq!(
        found,
        expected.map(|(path, code)| (path.into(), code.into()))
    );
    let output = desk.run(&["--model", "none", "--max-upload-bytes", "10"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("(file-too-large)"), "{text}");

    for args in [
        &["--sidecar", "doc"][..],
        &["--overwrite"],
        &["--workers", "0"],
    ] {
        assert_eq!(desk.run(args).status.code(), Some(2), "{args:?}");
    }
    let output = command(&["process"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        desk.run(&["--model", "no/such/model"]).status.code(),
        Some(1)
    );
}

#[test]
fn captions_lie_beside_their_pictures() {
    let desk = Desk::with(1);
    let output = desk.run(&["--jsonl", "--sidecar", "txt"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let record = &records(&output)[0];
    let caption = record["metadata"]["caption"].as_str().unwrap();
    let read = |name: &str| fs::read_to_string(desk.photos().join(name)).unwrap();
    assert_eq!(read("000.jpg.txt"), format!("{caption}\n"));
    desk.run(&["--sidecar", "xmp"]);
    let element = format!("<rdf:li xml:lang=\"x-default\">{caption}</rdf:li>");
    assert!(read("000.jpg.xmp").contains(&element));
    desk.run(&["--sidecar", "json"]);
    let beside: Value = serde_json::from_str(&read("000.jpg.json")).unwrap();
    assert_eq!(beside["metadata"], record["metadata"]);

    // What somebody else wrote stays.
    fs::write(desk.photos().join("000.jpg.txt"), "my own words").unwrap();
    let output = desk.run(&["--sidecar", "txt"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("(sidecar-exists)"));
    assert_eq!(read("000.jpg.txt"), "my own words");
    let output = desk.run(&["--sidecar", "txt", "--overwrite"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(read("000.jpg.txt"), format!("{caption}\n"));
}

#[test]
fn ones_own_files_are_known_after_a_kill_too() {
    let desk = Desk::with(2);
    let args = ["--model", "none", "--sidecar", "json", "--resume"];
    assert_eq!(desk.run(&args).status.code(), Some(0));
    let read = || fs::read(desk.photos().join("000.jpg.json")).unwrap();
    let before = read();
    desk.put("000.jpg", &fixture("exif-gps.jpg"));
    let output = desk.run(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_ne!(read(), before);
    desk.put("000.jpg", b"\xff\xd8\xff no picture");
    assert_eq!(desk.run(&args).status.code(), Some(1));
    assert!(!desk.photos().join("000.jpg.json").exists());
    assert!(desk.photos().join("001.jpg.json").exists());
}

#[test]
fn thumbnails_among_the_photos_are_not_processed() {
    let desk = Desk::with(2);
    for _ in 0..2 {
        let args = [
            "--jsonl",
            "--model",
            "none",
            "--thumbnails",
            "photos/thumbs",
        ];
        let output = desk.run(&args);
        assert_eq!(records(&output).len(), 2, "{}", stderr(&output));
    }
    assert!(
        desk.photos()
            .join("thumbs/photos/000.jpg.small.jpg")
            .is_file()
    );
}

#[test]
fn a_reader_that_has_had_enough_ends_it_quietly() {
    let desk = Desk::with(12);
    let mut child = desk.start(&["--jsonl", "--workers", "1"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    drop(lines);
    let output = child.wait_with_output().unwrap();
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.code(), Some(0));
    assert!(desk.journal().unwrap().len() < 12);
}

#[test]
fn a_folder_is_watched_until_a_signal() {
    let desk = Desk::with(1);
    let mut child = desk.start(&["--jsonl", "--model", "none", "--watch", "--sidecar", "json"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["path"], "photos/000.jpg");
    desk.put("001.jpg", PHOTO);
    assert_eq!(next()["path"], "photos/001.jpg");
    desk.put("000.jpg", b"\xff\xd8\xff no picture");
    let record = next();
    assert_eq!(
        (&record["path"], &record["status"]),
        (&"photos/000.jpg".into(), &"failed".into())
    );
    // What it said beside the picture that was there before is gone with it.
    let beside = desk.photos().join("000.jpg.json");
    assert!(!beside.exists());
    // And of one that was edited it says the new thing.
    desk.put("001.jpg", &fixture("exif-gps.jpg"));
    let record = next();
    assert_eq!(record["status"], "success", "{record}");
    let beside = fs::read(desk.photos().join("001.jpg.json")).unwrap();
    let beside: Value = serde_json::from_slice(&beside).unwrap();
    assert_eq!(beside["metadata"], record["metadata"]);
    // What somebody else has made of it stays.
    fs::write(desk.photos().join("001.jpg.json"), "my own words").unwrap();
    desk.put("001.jpg", PHOTO);
    assert_eq!(next()["error_code"], "sidecar-exists");
    let beside = fs::read_to_string(desk.photos().join("001.jpg.json")).unwrap();
    assert_eq!(beside, "my own words");
    signal(&child, "-TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).starts_with("5 pictures: 3 done, 2 failed; "),
        "{}",
        stderr(&output)
    );
}
