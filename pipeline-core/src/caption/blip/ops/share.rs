//! Work shared between threads, or not: results never depend on it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::Yield;
use rayon::prelude::*;

/// Multiplications that make it worth while to wake a second thread.
pub(super) const WORTH_A_THREAD: usize = 1 << 18;

/// Pictures that are being captioned in this process.
static PICTURES: AtomicUsize = AtomicUsize::new(0);

/// Works on a picture.
///
/// One picture gets all cores. With a picture for each core, each stays on its own thread: two pictures side by side
/// are done sooner than one after the other on two cores, because nobody waits for anybody.
pub(in super::super) fn picture<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let busy = Busy::new();
    let threads = rayon::current_num_threads();
    if !busy.alone || threads == 1 {
        return work();
    }
    let ended = AtomicBool::new(false);
    // Among the threads that help: handing each piece over from outside would take longer than some pieces do.
    rayon::scope(|scope| {
        let own = rayon::current_thread_index();
        for _ in 1..threads {
            let ended = &ended;
            scope.spawn(move |_| {
                // This thread itself comes here where nobody else was free to.
                if rayon::current_thread_index() != own {
                    stay_awake(ended);
                }
            });
        }
        let _end = End(&ended);
        work()
    })
}

/// Helps until the picture has ended, or until there are others that want the cores.
///
/// A caption is a thousand short pieces of work. A thread that falls asleep between them is woken too late for many: on
/// two cores, that cost the bundled model a seventh of its time.
fn stay_awake(ended: &AtomicBool) {
    while !ended.load(Ordering::Acquire) && PICTURES.load(Ordering::Relaxed) == 1 {
        if rayon::yield_now() != Some(Yield::Executed) {
            std::thread::yield_now();
        }
    }
}

/// Notes the end of a picture, also by a panic.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Counts a picture until it is dropped, also by a panic.
struct Busy {
    alone: bool,
}

impl Busy {
    fn new() -> Self {
        Self {
            alone: PICTURES.fetch_add(1, Ordering::Relaxed) == 0,
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        PICTURES.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many threads would share work that is worth it.
pub(super) fn threads() -> usize {
    let threads = rayon::current_num_threads();
    if PICTURES.load(Ordering::Relaxed) < threads {
        threads
    } else {
        1
    }
}

/// Does all pieces; together they are so many multiplications.
pub(super) fn each<T: Send>(
    pieces: Vec<T>,
    multiplications: usize,
    work: impl Fn(T) + Sync + Send,
) {
    if pieces.len() > 1 && multiplications >= WORTH_A_THREAD && threads() > 1 {
        pieces.into_par_iter().for_each(work);
    } else {
        pieces.into_iter().for_each(work);
    }
}

thread_local! {
    static ROOM: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Lends this thread's room for so many values; what is in them is of no interest.
pub(super) fn with_room<R>(count: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    // Taken out, not borrowed: the thread may meanwhile do another piece of work that needs room.
    let mut room = ROOM.take();
    let done = work(grown(&mut room, count, 0.0));
    ROOM.set(room);
    done
}

/// The beginning of `values`, which grows if need be; what is in it is of no interest.
pub(super) fn grown<T: Copy>(values: &mut Vec<T>, count: usize, filling: T) -> &mut [T] {
    if values.len() < count {
        values.resize(count, filling);
    }
    &mut values[..count]
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn a_panic_ends_the_picture_for_those_who_help_too() {
        for _ in 0..10 {
            assert!(catch_unwind(|| picture(|| panic!("on purpose"))).is_err());
            assert_eq!(picture(|| 7), 7);
        }
    }
}
