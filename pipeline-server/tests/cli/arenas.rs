//! The allocator's arenas: few, so that little is kept.

use std::num::NonZero;
use std::ops::Range;
use std::thread::available_parallelism;

use crate::daemon::{Daemon, PHOTO, command};

/// What glibc reserves for each arena but the first, and what it lies at a multiple of.
const RESERVED: usize = 64 << 20;

/// Arenas of a server that has worked on a few pictures, besides the first.
fn arenas(setting: Option<usize>) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let mut command = command(&["--listen", "127.0.0.1:0", "--data", data, "--model", "none"]);
    command.env_remove("MALLOC_ARENA_MAX");
    command.envs(setting.map(|setting| ("MALLOC_ARENA_MAX", setting.to_string())));
    let daemon = Daemon::spawn(&mut command);
    for _ in 0..8 {
        daemon.upload(PHOTO);
    }
    daemon.finished();
    // What is in use and what is only reserved are mapped one after the other.
    let mapped = daemon.mapped();
    let is_arena = |pair: &&[Range<usize>]| {
        let (used, rest) = (&pair[0], &pair[1]);
        used.end == rest.start && used.start % RESERVED == 0 && rest.end - used.start == RESERVED
    };
    mapped.windows(2).filter(is_arena).count()
}

#[test]
fn threads_share_arenas_unless_a_setting_says_otherwise() {
    let cores = available_parallelism().map_or(1, NonZero::get);
    let shared = arenas(None);
    assert!(shared < (cores / 2).max(1), "{shared} on {cores} cores");
    // There are more threads than that on any computer.
    assert_eq!(arenas(Some(shared + 3)), shared + 2);
}
