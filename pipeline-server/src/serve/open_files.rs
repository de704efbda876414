//! How many connections the system's limit on open files has room for.

/// Files for everything that is no client's: the database with its readers, logs, originals in work, the listener.
#[cfg(unix)]
const OWN: u64 = 64;
/// Files for one client: its socket, and the picture that it sends or reads.
#[cfg(unix)]
const EACH: u64 = 2;

/// Raises the process's limit as far as `connections` need it and the system allows it, and returns for how many there
/// is room then.
#[cfg(unix)]
pub(super) fn make_room(connections: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use tracing::warn;

    let wanted = OWN + EACH * connections as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // No limit is `None`.
    let Some(limit) = current.filter(|&limit| limit < wanted) else {
        return connections;
    };
    let raised = maximum.map_or(wanted, |maximum| wanted.min(maximum));
    let more = Rlimit {
        current: Some(raised),
        maximum,
    };
    let limit = setrlimit(Resource::Nofile, more).map_or(limit, |()| raised);
    let room = usize::try_from(limit.saturating_sub(OWN) / EACH).unwrap_or(connections);
    let room = room.clamp(1, connections);
    if room < connections {
        warn!(
            limit,
            room, "{limit} open files are allowed, which is enough for {room} connections"
        );
    }
    room
}

/// Other systems have no such limit, or none that can be asked for.
#[cfg(not(unix))]
pub(super) fn make_room(connections: usize) -> usize {
    connections
}
