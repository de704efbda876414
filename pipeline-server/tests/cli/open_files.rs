//! What the system's limit on open files does to the number of connections.

use std::net::TcpStream;

use crate::daemon::{Daemon, command_after};

/// Under a limit of 80 open files there is room for 8 connections.
#[test]
fn connections_keep_to_the_open_files() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let base = ["--listen", "127.0.0.1:0", "--data", data, "--model", "none"];
    let args = [&base[..], &["--header-timeout", "1"]].concat();
    let daemon = Daemon::spawn(&mut command_after("ulimit -n 80", &args));
    let told = daemon.log.iter().any(|line| line.contains("8 connections"));
    assert!(told, "{:?}", daemon.log);
    let silent: Vec<TcpStream> = (0..20)
        .map(|_| TcpStream::connect(daemon.address()).unwrap())
        .collect();
    // The twenty are let in eight at a time, and cut off for their silence.
    assert_eq!(daemon.get("/livez")["status"], "ok");
    drop(silent);
    daemon.signal("-TERM");
    let (code, log) = daemon.wait();
    assert_eq!(code, Some(0));
    let refused = log.iter().any(|line| line.contains("cannot accept"));
    assert!(!refused, "{log:?}");
}
