//! The entry points of the fuzzer (`pipeline-core/fuzz`), on its seeds, so that they stay sound between its runs.

use crate::{assert_little_memory, fixtures, fuzz};

#[test]
fn the_fuzz_targets_hold_on_their_seeds() {
    for (name, bytes) in fixtures() {
        fuzz::probe(&bytes);
        fuzz::decode(&bytes);
        fuzz::exif(&bytes);
        for part in [2, 3, 10] {
            fuzz::probe(&bytes[..bytes.len() / part]);
            fuzz::exif(&bytes[bytes.len() / part..]);
        }
        assert_little_memory(&name);
    }
    for bytes in [&b""[..], b"II*\0", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"] {
        fuzz::probe(bytes);
        fuzz::decode(bytes);
        fuzz::exif(bytes);
    }
}
