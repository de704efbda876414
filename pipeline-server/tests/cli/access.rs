//! Keys are told to nobody: not by the log, not by the help, not by the line that says what is wrong with them.

use std::fs;

use crate::daemon::{Daemon, command, fault, run};

const KEY: &str = "0123456789-secret";

#[test]
fn no_log_and_no_help_has_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    fs::write(&file, "# for the dashboard\nread:another-long-secret\n").unwrap();
    let data = folder.path().join("data");
    let base = ["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    let log = ["--model", "none", "--log", "trace"];
    let mut server = command(&[&base[..], &log].concat());
    server
        .env("PIPELINE_API_KEY", format!("write:{KEY}"))
        .env("PIPELINE_API_KEYS_FILE", &file);
    let daemon = Daemon::spawn(&mut server);
    for key in [KEY, "another-long-secret"] {
        for header in [
            format!("X-API-Key: {key}"),
            format!("Authorization: Bearer {key}"),
        ] {
            let stats = daemon.exchange(&format!("GET /api/stats HTTP/1.1\r\n{header}\r\n"), b"");
            assert_eq!(stats["total"], 0);
        }
    }
    daemon.signal("-TERM");
    let (_, log) = daemon.wait();
    assert!(log.len() >= 5, "{log:?}");
    for line in &log {
        assert!(!line.contains("secret"), "{line}");
    }

    let help = command(&["--help"])
        .env("PIPELINE_API_KEY", format!("write:{KEY}"))
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(
        help.contains("PIPELINE_API_KEY") && !help.contains(KEY),
        "{help}"
    );
}

#[test]
fn what_is_wrong_with_a_key_is_told_without_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let base = ["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    for (key, reason) in [
        ("0123456789-secret", "read:"),
        ("admin:0123456789-secret", "read:"),
        ("write:secret", "16"),
    ] {
        let line = fault(&run(&[&base[..], &["--api-key", key]].concat()));
        assert!(
            line.contains("--api-key") && line.contains(reason),
            "{line}"
        );
        assert!(!line.contains("secret"), "{line}");
    }
    let missing = folder.path().join("missing");
    let missing = missing.to_str().unwrap();
    let line = fault(&run(&[&base[..], &["--api-keys-file", missing]].concat()));
    assert!(
        line.contains(missing) && line.contains("--api-keys-file"),
        "{line}"
    );
    let line = fault(&run(
        &[&base[..], &["--cors-origin", "photos.example"]].concat()
    ));
    assert!(line.contains("--cors-origin"), "{line}");
    assert!(!data.exists(), "nothing is written");
}
