//! Whatever is wrong at the start: one line that says what to do, exit code 1.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use crate::daemon::{Daemon, PHOTO, checkpoint, fault, run};

fn start(data: &Path, args: &[&str]) -> String {
    let base = ["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    fault(&run(&[&base[..], args].concat()))
}

#[track_caller]
fn assert_says(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "no `{part}` in: {line}");
    }
}

#[test]
fn a_port_that_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let data = folder.path().to_str().unwrap();
    let output = run(&["--listen", &address, "--data", data, "--model", "none"]);
    assert_says(&fault(&output), &["cannot listen on", &address, "--listen"]);
}

#[test]
fn an_address_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = run(&["--listen", "8000", "--data", data.to_str().unwrap()]);
    assert_says(&fault(&output), &["`8000`", "--listen HOST:PORT"]);
    assert!(!data.exists(), "nothing is written");
}

#[test]
fn a_data_folder_that_is_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let inside = file.path().join("data");
    for data in [file.path(), &inside] {
        let line = start(data, &["--model", "none"]);
        assert_says(&line, &[data.to_str().unwrap(), "--data"]);
    }
    assert_eq!(file.as_file().metadata().unwrap().len(), 0);
}

#[test]
fn a_data_folder_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let first = Daemon::start(folder.path(), &["--model", "none"]);
    let line = start(folder.path(), &["--model", "none"]);
    assert_says(&line, &["in use", "--data"]);
    assert_eq!(first.get("/livez")["status"], "ok");
}

#[test]
fn a_database_of_a_newer_version() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &["--model", "none"]);
    daemon.signal("-TERM");
    daemon.wait();
    // The version is a number in the file's header.
    let path = folder.path().join("pipeline.sqlite");
    let mut bytes = fs::read(&path).unwrap();
    bytes[60..64].copy_from_slice(&999_u32.to_be_bytes());
    fs::write(&path, &bytes).unwrap();
    let line = start(folder.path(), &["--model", "none"]);
    assert_says(&line, &["999", "newer", "--data"]);
    assert!(
        fs::read(&path).unwrap() == bytes,
        "the database was written to"
    );
}

#[test]
fn a_model_that_does_not_exist() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for model in ["./no-such-model", "/no/such/model", "large"] {
        let line = start(&data, &["--model", model]);
        assert_says(&line, &[model, "--model", "tiny"]);
        assert!(!data.exists(), "nothing is written");
    }
}

#[test]
fn a_model_folder_with_files_missing_damaged_or_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let files = [
        "config.json",
        "preprocessor_config.json",
        "tokenizer.json",
        "model.safetensors",
    ];
    for broken in files {
        for cut in [false, true] {
            let model = folder.path().join(format!("{broken}-{cut}"));
            fs::create_dir(&model).unwrap();
            for file in files {
                let bytes = fs::read(checkpoint().join(file)).unwrap();
                match (file == broken, cut) {
                    (true, false) => {}
                    (true, true) => fs::write(model.join(file), &bytes[..bytes.len() / 2]).unwrap(),
                    (false, _) => fs::write(model.join(file), &bytes).unwrap(),
                }
            }
            let line = start(&data, &["--model", model.to_str().unwrap()]);
            let name = broken.split('.').next().unwrap();
            assert_says(
                &line,
                &[
                    "cannot load the model",
                    model.to_str().unwrap(),
                    name,
                    "--model",
                ],
            );
        }
    }
}

#[test]
fn a_log_filter_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let line = start(folder.path(), &["--log", "info,=x=y"]);
    assert_says(&line, &["info,=x=y", "--log"]);
}

#[test]
fn a_database_that_is_damaged_or_gone() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &["--model", "none"]);
    daemon.upload(PHOTO);
    daemon.finished();
    daemon.signal("-TERM");
    daemon.wait();
    let path = folder.path().join("pipeline.sqlite");
    let sound = fs::read(&path).unwrap();
    let mut noise = sound.clone();
    noise[..64].fill(0x55);
    for damaged in [&b"x"[..], &noise, &sound[..sound.len() / 2], b""] {
        fs::write(&path, damaged).unwrap();
        let line = start(folder.path(), &["--model", "none"]);
        assert_says(&line, &["damaged", "restore", "--data"]);
        assert!(fs::read(&path).unwrap() == damaged, "it was written to");
    }
    fs::remove_file(&path).unwrap();
    let line = start(folder.path(), &["--model", "none"]);
    assert_says(&line, &["missing", "restore", "--data"]);
    assert!(!path.exists(), "a new one was put in its place");
    fs::write(&path, sound).unwrap();
    let daemon = Daemon::start(folder.path(), &["--model", "none"]);
    assert_eq!(daemon.finished().len(), 1);
}
