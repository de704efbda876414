//! The SQL that finds images: by words, by conditions, by their looks.

use rusqlite::types::{ToSql, Value};
use rusqlite::{Connection, Result, params_from_iter};

use crate::model::hash_of;
use crate::read::{select, signed, unsigned};
use crate::{Cursor, Filter, ImageRecord, Listing, Page, StageName};

/// More words than anybody types; each costs a look into the index.
const MAX_WORDS: usize = 32;

/// One page of images; call it on one snapshot.
pub(crate) fn list(conn: &Connection, filter: &Filter, page: &Page) -> Result<Listing> {
    let wanted = Wanted::new(filter);
    // One more than asked for tells whether there is a next page. SQLite takes -1 as no limit.
    let limit = page.limit.map(|limit| limit.get());
    let fetch = limit.map_or(-1, |limit| signed(limit as u64).saturating_add(1));
    let before = page.after.map_or(i64::MAX, |Cursor(seq)| seq);
    let number = wanted.number();
    let clause = format!(
        "{} AND {number} < ? ORDER BY {number} DESC LIMIT ?",
        wanted.conditions()
    );
    let last: [&dyn ToSql; 2] = [&before, &fetch];
    let params: Vec<&dyn ToSql> = wanted.params().chain(last).collect();
    let mut images = select(conn, wanted.tables(), &clause, &params)?;
    let mut next = None;
    if let Some(limit) = limit
        && images.len() > limit
    {
        images.truncate(limit);
        next = images.last().map(|(seq, _)| Cursor(*seq));
    }
    Ok(Listing {
        images: images.into_iter().map(|(_, image)| image).collect(),
        next,
        total: count(conn, &wanted)?,
    })
}

fn count(conn: &Connection, wanted: &Wanted) -> Result<u64> {
    // Words alone are counted by their index alone.
    let tables = match wanted.conditions.as_slice() {
        [_] if wanted.has_words => "image_text",
        _ => wanted.tables(),
    };
    let sql = format!("SELECT count(*) FROM {tables} {}", wanted.conditions());
    let count = conn
        .prepare_cached(&sql)?
        .query_row(params_from_iter(wanted.params()), |row| row.get(0))?;
    unsigned(count)
}

/// The numbers of the images that are meant and not in work, oldest first.
pub(crate) fn at_rest(conn: &Connection, filter: &Filter) -> Result<Vec<i64>> {
    let mut wanted = Wanted::new(filter);
    wanted.and("images.state != 'processing'");
    let number = wanted.number();
    let (tables, conditions) = (wanted.tables(), wanted.conditions());
    conn.prepare_cached(&format!(
        "SELECT {number} FROM {tables} {conditions} ORDER BY {number}"
    ))?
    .query_map(params_from_iter(wanted.params()), |row| row.get(0))?
    .collect()
}

/// The images whose hashes differ from that of `seq` in at most `max_distance` bits, the most alike first and of those
/// the newest; with the distances.
pub(crate) fn similar(
    conn: &Connection,
    seq: i64,
    max_distance: u32,
    limit: usize,
) -> Result<Vec<(u32, ImageRecord)>> {
    let all = "SELECT seq, perceptual_hash FROM images INDEXED BY images_by_look
               WHERE perceptual_hash IS NOT NULL";
    let own: Option<String> = conn
        .prepare_cached("SELECT perceptual_hash FROM images WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))?;
    let Some(own) = own.as_deref().and_then(hash_of) else {
        return Ok(Vec::new());
    };
    let mut near: Vec<(u32, i64)> = Vec::new();
    let mut select_all = conn.prepare_cached(all)?;
    let mut rows = select_all.query([])?;
    while let Some(row) = rows.next()? {
        let other: i64 = row.get(0)?;
        let Some(hash) = row.get_ref(1)?.as_str().ok().and_then(hash_of) else {
            continue;
        };
        let distance = own.distance(hash);
        if other != seq && distance <= max_distance {
            near.push((distance, other));
        }
    }
    near.sort_unstable_by_key(|&(distance, seq)| (distance, -seq));
    near.truncate(limit);
    let mut images = Vec::new();
    for (distance, seq) in near {
        let found = select(conn, "images", "WHERE images.seq = ?", &[&seq])?;
        images.extend(found.into_iter().map(|(_, image)| (distance, image)));
    }
    Ok(images)
}

/// A filter as SQL.
struct Wanted {
    conditions: Vec<&'static str>,
    values: Vec<Value>,
    has_words: bool,
}

impl Wanted {
    fn new(filter: &Filter) -> Self {
        let mut wanted = Self {
            conditions: Vec::new(),
            values: Vec::new(),
            has_words: false,
        };
        if let Some(words) = filter.text.as_deref().and_then(words) {
            wanted.has_words = true;
            wanted.with("image_text MATCH ?", words);
        }
        if let Some(status) = filter.status {
            wanted.with("images.state = ?", status.as_str().to_owned());
        }
        if let Some(format) = filter.format {
            wanted.with("images.format = ?", format.as_str().to_owned());
        }
        if let Some(camera) = &filter.camera {
            wanted.with(
                "images.seq IN (SELECT seq FROM images INDEXED BY images_by_camera
                                WHERE camera IS NOT NULL AND instr(lower(camera), lower(?)) > 0)",
                camera.clone(),
            );
        }
        match filter.has_caption {
            Some(true) => wanted.and("images.caption_seq IS NOT NULL"),
            Some(false) => wanted.and("images.caption_seq IS NULL"),
            None => {}
        }
        let numbers = [
            ("images.size_bytes >= ?", filter.min_bytes.map(signed)),
            ("images.size_bytes <= ?", filter.max_bytes.map(signed)),
            (
                "images.created_at >= ?",
                filter.since.map(|at| at.as_millisecond()),
            ),
            (
                "images.created_at <= ?",
                filter.until.map(|at| at.as_millisecond()),
            ),
        ];
        for (condition, value) in numbers {
            if let Some(value) = value {
                wanted.with(condition, value);
            }
        }
        if let Some(model) = &filter.model {
            wanted.with(
                "(SELECT model FROM captions WHERE image_seq = images.seq AND source = 'model'
                  ORDER BY seq DESC LIMIT 1) IS ?",
                model.clone(),
            );
        }
        if let Some(model) = &filter.model_not {
            wanted.with(
                "(SELECT model FROM captions WHERE image_seq = images.seq AND source = 'model'
                  ORDER BY seq DESC LIMIT 1) IS NOT ?",
                model.clone(),
            );
        }
        for stage in &filter.missing {
            wanted.and(match stage {
                StageName::Metadata => "images.metadata IS NULL",
                StageName::Thumbnails => {
                    "NOT EXISTS (SELECT 1 FROM thumbnails WHERE image_seq = images.seq)"
                }
                StageName::Caption => "images.caption_seq IS NULL",
            });
        }
        wanted
    }

    fn and(&mut self, condition: &'static str) {
        self.conditions.push(condition);
    }

    fn with(&mut self, condition: &'static str, value: impl Into<Value>) {
        self.and(condition);
        self.values.push(value.into());
    }

    /// Words lead: their index knows the images, in order.
    fn tables(&self) -> &'static str {
        match self.has_words {
            true => "image_text CROSS JOIN images ON images.seq = image_text.rowid",
            false => "images",
        }
    }

    /// The number of an image, as the leading table has it.
    fn number(&self) -> &'static str {
        match self.has_words {
            true => "image_text.rowid",
            false => "images.seq",
        }
    }

    fn conditions(&self) -> String {
        match self.conditions.is_empty() {
            true => "WHERE true".to_owned(),
            false => format!("WHERE {}", self.conditions.join(" AND ")),
        }
    }

    fn params(&self) -> impl Iterator<Item = &dyn ToSql> {
        self.values.iter().map(|value| value as &dyn ToSql)
    }
}

/// What was typed, as a query in FTS5's language: all words, the last one as a beginning. Each is quoted, so that nothing
/// in it is taken for an operator. `None` if there are no words.
fn words(text: &str) -> Option<String> {
    let quoted: Vec<String> = text
        // SQLite takes a NUL for the end of the query.
        .split(|c: char| c.is_whitespace() || c == '\0')
        .filter(|word| !word.is_empty())
        .take(MAX_WORDS)
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"")))
        .collect();
    (!quoted.is_empty()).then(|| format!("{}*", quoted.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_and_the_last_is_a_beginning() {
        assert_eq!(words("red pan").as_deref(), Some("\"red\" \"pan\"*"));
        assert_eq!(
            words(" a\0\"b\" OR ").as_deref(),
            Some("\"a\" \"\"\"b\"\"\" \"OR\"*")
        );
        assert_eq!(words(" \t\0"), None);
        assert_eq!(
            words(&"x ".repeat(1_000)).unwrap().matches('x').count(),
            MAX_WORDS
        );
    }
}
