//! The versions of the database and the settings of its connections.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use crate::{Error, Result};

const STEPS: &[M<'static>] = &[
    M::up(include_str!("../migrations/0001_init.sql")),
    M::up(include_str!("../migrations/0002_leases.sql")),
    M::up(include_str!("../migrations/0003_find.sql")).foreign_key_check(),
    M::up(include_str!("../migrations/0004_outbox.sql")),
    M::up(include_str!("../migrations/0005_turns.sql")),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// The version of a database that every migration has been applied to.
pub(crate) const LATEST: u32 = STEPS.len() as u32;

/// Refuses a database of a newer release; returns the version of any other. Writes nothing.
pub(crate) fn check_version(conn: &Connection, path: &Path) -> Result<u32> {
    let found: i64 = conn
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|e| Error::sqlite("open the database", path, e))?;
    match u32::try_from(found) {
        Ok(found) if found <= LATEST => Ok(found),
        Ok(found) => Err(Error::TooNew {
            found,
            supported: LATEST,
        }),
        Err(e) => Err(Error::corrupt("open the database", path, e)),
    }
}

/// Brings the database to [`LATEST`].
pub(crate) fn migrate(conn: &mut Connection, path: &Path) -> Result<()> {
    // A step that makes a table anew must not take the rows along that belong to its rows. It checks the links itself.
    let links = |conn: &Connection, on: bool| {
        conn.pragma_update(None, "foreign_keys", on)
            .map_err(|e| Error::sqlite("open the database", path, e))
    };
    links(conn, false)?;
    let migrated = MIGRATIONS.to_latest(conn);
    links(conn, true)?;
    migrated.map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => {
            match Error::sqlite("bring the database up to date", path, err) {
                Error::Sqlite { source, .. } => Error::Migrate {
                    source: Box::new(source.into()),
                },
                sorted => sorted,
            }
        }
        other => Error::Migrate {
            source: Box::new(other),
        },
    })
}

/// Settings that belong to the connection, not to the file, and so cannot be migrations.
pub(crate) fn set_up_writer(conn: &Connection, busy_timeout: Duration) -> rusqlite::Result<()> {
    conn.busy_timeout(busy_timeout)?;
    // Readers go on while the writer writes. The file remembers this one; the answer is the mode now in force.
    conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    // A commit returns when it is on the disk: an accepted upload survives a power failure.
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "foreign_keys", true)
}

/// Settings of a connection that only reads.
pub(crate) fn set_up_reader(conn: &Connection, busy_timeout: Duration) -> rusqlite::Result<()> {
    conn.busy_timeout(busy_timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_apply_to_an_empty_database() {
        MIGRATIONS.validate().unwrap();
    }

    #[test]
    fn the_writer_is_durable_and_lets_readers_be() {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(dir.path().join("db")).unwrap();
        set_up_writer(&conn, Duration::from_millis(1_234)).unwrap();
        let text = |name| conn.pragma_query_value(None, name, |row| row.get::<_, String>(0));
        let number = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        assert_eq!(text("journal_mode").unwrap(), "wal");
        assert_eq!(number("synchronous").unwrap(), 2, "full");
        assert_eq!(number("foreign_keys").unwrap(), 1);
        assert_eq!(number("busy_timeout").unwrap(), 1_234);
    }

    #[test]
    fn the_schema_is_the_one_that_the_code_was_written_for() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, Path::new("memory")).unwrap();
        let names: Vec<String> = conn
            .prepare(
                "SELECT type || ' ' || name || ' on ' || tbl_name FROM sqlite_schema
                 WHERE name NOT LIKE 'sqlite_%' ORDER BY tbl_name, type DESC, name",
            )
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        assert_eq!(
            names,
            [
                "table captions on captions",
                "index captions_by_image on captions",
                "table image_text on image_text",
                "table image_text_config on image_text_config",
                "table image_text_data on image_text_data",
                "table image_text_docsize on image_text_docsize",
                "table image_text_idx on image_text_idx",
                "trigger image_text_added on images",
                "trigger image_text_changed on images",
                "trigger image_text_removed on images",
                "table images on images",
                "index images_by_arrival on images",
                "index images_by_camera on images",
                "index images_by_caption on images",
                "index images_by_digest on images",
                "index images_by_end on images",
                "index images_by_format on images",
                "index images_by_look on images",
                "index images_by_size on images",
                "index images_by_state on images",
                "index images_in_state on images",
                "table jobs on jobs",
                "index jobs_put_off on jobs",
                "index jobs_queued on jobs",
                "index jobs_running on jobs",
                "table outbox on outbox",
                "index outbox_by_turn on outbox",
                "table stages on stages",
                "table thumbnails on thumbnails",
                "table upload_keys on upload_keys",
                "index upload_keys_by_age on upload_keys",
            ]
        );
    }
}
