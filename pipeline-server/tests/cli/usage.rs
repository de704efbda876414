//! The command line and the environment.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use crate::daemon::{Daemon, PHOTO, checkpoint, command, fault, run};

#[test]
fn help_names_every_flag_and_variable() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    for flag in [
        "listen",
        "data",
        "model",
        "max-upload-bytes",
        "max-queue",
        "workers",
        "picture-timeout",
        "strict-uploads",
        "optional-captions",
        "min-free-bytes",
        "trusted-proxy",
        "api-key",
        "api-keys-file",
        "rate-limit",
        "cors-origin",
        "max-connections",
        "header-timeout",
        "idle-timeout",
        "stall-timeout",
        "min-rate",
        "max-receiving-bytes",
        "log-format",
        "log",
    ] {
        let variable = format!("PIPELINE_{}", flag.replace('-', "_").to_uppercase());
        assert!(
            help.contains(&format!("--{flag}")) && help.contains(&variable),
            "{flag}"
        );
    }
}

#[test]
fn the_files_for_deployment_name_only_settings_that_exist() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/deploy");
    let mut named = 0;
    for file in ["Containerfile", "compose.yaml", "pipeline-server.service"] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
        for word in text.split(|c| !is_name(c)) {
            if word.starts_with("PIPELINE_") && word != "PIPELINE_NAME" {
                named += 1;
                // Values that are secrets are not shown.
                let known = [format!("[env: {word}="), format!("[env: {word}]")];
                assert!(
                    known.iter().any(|known| help.contains(known)),
                    "{file}: {word}"
                );
            }
        }
    }
    assert!(named >= 6, "{named}");
}

#[test]
fn the_version_is_told() {
    let output = run(&["--version"]);
    let version = format!("pipeline-server {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(output.stdout, version.as_bytes());
}

#[test]
fn what_cannot_be_parsed_is_a_mistake_in_usage() {
    for args in [
        &["--colour"][..],
        &["--max-queue", "many"],
        &["--max-queue", "0"],
        &["--workers", "0"],
        &["--picture-timeout", "0"],
        &["--trusted-proxy", "proxy"],
        &["--stall-timeout", "0"],
        &["--max-connections", "0"],
        &["--log-format", "xml"],
        &["--data", "x", "serve"],
        &["serve", "process"],
        &["health", "http://localhost/", "--listen", "localhost:80"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

#[test]
fn to_serve_may_be_said() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let args = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--model",
        "none",
        "--data",
    ];
    let daemon = Daemon::spawn(&mut command(
        &[&args[..], &[data.to_str().unwrap()]].concat(),
    ));
    assert!(data.join("pipeline.sqlite").is_file());
    daemon.signal("-TERM");
    assert_eq!(daemon.wait().0, Some(0));
}

#[test]
fn the_document_is_written_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let written = command(&["openapi"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(written.status.code(), Some(0));
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    let daemon = Daemon::start(folder.path(), &["--model", "none"]);
    let written: Value = serde_json::from_slice(&written.stdout).unwrap();
    assert_eq!(written, daemon.get("/openapi.json"));
}

#[test]
fn health_is_told_by_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &["--model", "none"]);
    let port = daemon.address().rsplit(':').next().unwrap();
    let mut ask = command(&["health"]);
    // As in a container, where it listens everywhere, and where proxies may be set for others.
    ask.env("PIPELINE_LISTEN", format!("0.0.0.0:{port}"));
    ask.env("http_proxy", "http://127.0.0.1:9");
    let output = ask.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"ready\n");
    let url = format!("http://{}/nowhere", daemon.address());
    let line = fault(&run(&["health", &url]));
    assert!(line.contains("is not ready"), "{line}");

    let full = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(full.path(), &["--min-free-bytes", "9223372036854775807"]);
    let line = fault(&run(&["health", "--listen", daemon.address()]));
    assert!(line.contains("disk"), "{line}");
    let address = daemon.address().to_owned();
    daemon.signal("-TERM");
    daemon.wait();
    let line = fault(&run(&["health", "--listen", &address]));
    assert!(line.contains("is not ready"), "{line}");
}

#[test]
fn the_environment_sets_what_flags_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("from-the-environment");
    let mut command = command(&["--model", "none"]);
    command
        .env("PIPELINE_LISTEN", "127.0.0.1:0")
        .env("PIPELINE_DATA", &data)
        .env("PIPELINE_MODEL", "no/such/model")
        .env("PIPELINE_STRICT_UPLOADS", "1")
        .env("PIPELINE_LOG_FORMAT", "json");
    let daemon = Daemon::spawn(&mut command);
    assert!(data.join("pipeline.sqlite").is_file());
    daemon.signal("-TERM");
    let (code, log) = daemon.wait();
    assert_eq!(code, Some(0));
    for line in &log {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(
            event["level"].is_string() && event["message"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn the_built_in_model_writes_captions_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let daemon = Daemon::start(folder.path(), &[]);
    let ready = start.elapsed();
    daemon.upload(PHOTO);
    let [image] = &daemon.finished()[..] else {
        panic!("one picture");
    };
    assert_eq!(image["status"], "success", "{image}");
    let metadata = &image["data"]["metadata"];
    assert!(!metadata["caption"].as_str().unwrap().is_empty());
    assert_eq!(metadata["caption_model"], "tiny");
    // Printed for whoever looks; a bound on time would fail on a busy machine.
    println!("ready after {ready:?}: {}", metadata["caption"]);
}

#[test]
fn a_folder_is_a_model_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let model = checkpoint();
    let daemon = Daemon::start(folder.path(), &["--model", model.to_str().unwrap()]);
    daemon.upload(PHOTO);
    let [image] = &daemon.finished()[..] else {
        panic!("one picture");
    };
    assert_eq!(image["status"], "success", "{image}");
    assert_eq!(image["data"]["metadata"]["caption_model"], "blip-reference");
}

#[cfg(not(feature = "fail-points"))]
#[test]
fn fail_points_are_not_in_the_default_build() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    fs::write(&script, "claimed abort\n").unwrap();
    let mut command = command(&["--listen", "127.0.0.1:0", "--model", "none"]);
    command
        .env("PIPELINE_FAIL_POINTS", &script)
        .env("PIPELINE_DATA", folder.path().join("data"));
    let daemon = Daemon::spawn(&mut command);
    daemon.upload(PHOTO);
    assert_eq!(daemon.finished()[0]["status"], "success");
}
