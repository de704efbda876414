//! The allocator's arenas, of which glibc makes up to eight for each core and keeps what was once used in any of them.

#![allow(
    unsafe_code,
    reason = "glibc has no other way of being told, unless the one who starts the server sets a variable"
)]

use std::num::NonZero;
use std::thread::available_parallelism;

/// One arena for two cores, unless `MALLOC_ARENA_MAX` says otherwise. What a picture needs on its way then lies where the
/// last one's lay: on two cores that saves 20 MB of 165, for 4 % of the time, since threads wait for each other's turn. Must
/// be called before there is a second thread, which would already have an arena of its own.
pub(crate) fn share() {
    if std::env::var_os("MALLOC_ARENA_MAX").is_some() {
        return;
    }
    let cores = available_parallelism().map_or(1, NonZero::get);
    let arenas = i32::try_from(cores / 2).unwrap_or(i32::MAX).max(1);
    // SAFETY: the call takes two numbers and is safe in any order with other calls of the allocator. It says whether it
    // knows the setting; where it does not, memory is only used as before.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas) };
}
