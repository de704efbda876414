//! Webhooks of the real binary: what it must not tell, and what a stop or a kill must not lose.

use std::fs;
use std::io::{Read, Write};
use std::process::Command;

use crate::daemon::{Daemon, PHOTO, command, fault, run};
use crate::receiver::Receiver;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The server, telling `receiver`, with all that is secret in its environment.
fn server(data: &std::path::Path, receiver: &Receiver) -> Command {
    let data = data.to_str().unwrap();
    let base = ["--listen", "127.0.0.1:0", "--data", data, "--model", "none"];
    let rest = ["--log", "trace", "--webhook-allow-private"];
    let mut server = command(&[&base[..], &rest].concat());
    let url = format!("http://{}/hook-key?token=hook-token", receiver.address);
    server
        .env("PIPELINE_WEBHOOK", url)
        .env("PIPELINE_WEBHOOK_SECRET", SECRET)
        // A proxy that nobody asked for: it would look up names itself.
        .env("http_proxy", "http://127.0.0.1:9")
        .env("ALL_PROXY", "http://127.0.0.1:9");
    server
}

#[test]
fn no_log_and_no_help_has_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::with(&["500 Oh"]);
    let daemon = Daemon::spawn(&mut server(&folder.path().join("data"), &receiver));
    daemon.upload(PHOTO);
    assert!(receiver.told().request().contains("hook-token"));
    daemon.signal("-TERM");
    let (code, log) = daemon.wait();
    assert_eq!(code, Some(0), "{log:?}");
    for line in &log {
        for secret in ["hook-key", "hook-token", "MfKQ9r8G"] {
            assert!(!line.contains(secret), "{line}");
        }
    }
    let help = server(folder.path(), &receiver).arg("--help").output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    assert!(help.contains("PIPELINE_WEBHOOK_SECRET"), "{help}");
    assert!(
        !help.contains("hook-token") && !help.contains("MfKQ"),
        "{help}"
    );
}

#[test]
fn what_was_not_delivered_outlives_a_stop_and_a_kill() {
    for signal in ["-TERM", "-KILL"] {
        let folder = tempfile::tempdir().unwrap();
        // The first request gets no answer before the process is gone.
        let receiver = Receiver::start(|number, stream| match number {
            0 => drop(stream.read(&mut [0])),
            _ => drop(stream.write_all(b"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n")),
        });
        let daemon = Daemon::spawn(&mut server(folder.path(), &receiver));
        let id = daemon.upload(PHOTO);
        let first = receiver.told();
        assert!(first.body.contains(&id), "{}", first.body);
        daemon.signal(signal);
        daemon.wait();
        let daemon = Daemon::spawn(&mut server(folder.path(), &receiver));
        let second = receiver.told();
        assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
        assert_eq!(first.body, second.body);
        daemon.signal("-TERM");
        daemon.wait();
        receiver.assert_silence();
    }
}

#[test]
fn what_is_wrong_is_told_without_what_is_secret() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let base = ["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    let wrong = folder.path().join("wrong");
    fs::write(&wrong, "whsec_hook-token\n").unwrap();
    let hook = ["--webhook", "https://hooks.example/hook-token"];
    for (args, told) in [
        (&["--webhook", "hooks.example/hook-token"][..], "--webhook"),
        (&hook, "--webhook-secret-file"),
        (
            &["--webhook", "http://hook-token.example"],
            "--webhook-allow-private",
        ),
        (&["--webhook-secret", "hook-token"], "openssl rand"),
        (
            &["--webhook-secret-file", wrong.to_str().unwrap()],
            "line 1",
        ),
        (&["--webhook-secret-file", "/no/such/file"], "/no/such/file"),
    ] {
        let line = fault(&run(&[&base[..], args].concat()));
        assert!(line.contains(told), "{line}");
        assert!(!line.contains("hook-token"), "{line}");
    }
    assert!(!data.exists(), "nothing is written");
}
