//! Whether the server can do its work, check by check.

use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object};
use tracing::warn;

use crate::probe::Found;
use crate::{App, disk};

/// When to ask again, in seconds.
const ASK_AGAIN: u32 = 5;
const OK: &str = "ok";

/// What was checked. `ok`, or what is wrong; without a captioning model, `model` is `off`, which is no fault.
#[derive(Debug, Clone, Object)]
pub(super) struct Checks {
    /// The captioning model is loaded.
    model: String,
    /// The data folder has room and can be written to.
    disk: String,
    /// The database answers and can be written to, and the queue has room.
    queue: String,
}

/// The server can do its work.
#[derive(Debug, Object)]
pub(super) struct ReadyBody {
    /// Always `ok`.
    status: String,
    checks: Checks,
}

/// The server cannot do its work at the moment.
#[derive(Debug, Object)]
pub(super) struct NotReadyBody {
    /// Which checks have failed.
    detail: String,
    checks: Checks,
}

#[derive(Debug, ApiResponse)]
pub(super) enum Readiness {
    /// The server can do its work.
    #[oai(status = 200)]
    Ready(Json<ReadyBody>),
    /// The server cannot do its work at the moment.
    #[oai(status = 503)]
    NotReady(
        Json<NotReadyBody>,
        /// Always `not-ready`.
        #[oai(header = "X-Error-Code")]
        String,
        /// When to ask again, in seconds.
        #[oai(header = "Retry-After")]
        u32,
    ),
}

impl Checks {
    /// Asks the disk and the database; `tried` is what came of writing to them.
    ///
    /// # Blocking
    /// For as long as they take.
    pub(super) fn run(app: &App, tried: Found) -> Self {
        let model = match app.has_captions() {
            // A server whose model cannot be loaded does not start.
            true => OK,
            false => "off",
        };
        Self {
            model: model.to_owned(),
            disk: tried.disk.unwrap_or_else(|| disk(app)).to_owned(),
            queue: tried.database.unwrap_or_else(|| queue(app)).to_owned(),
        }
    }

    pub(super) fn verdict(self) -> Readiness {
        let failed: Vec<&str> = [("disk", &self.disk), ("queue", &self.queue)]
            .into_iter()
            .filter(|(_, found)| *found != OK)
            .map(|(name, _)| name)
            .collect();
        if failed.is_empty() {
            return Readiness::Ready(Json(ReadyBody {
                status: OK.to_owned(),
                checks: self,
            }));
        }
        let detail = format!("Not ready: {}.", failed.join(", "));
        let body = NotReadyBody {
            detail,
            checks: self,
        };
        Readiness::NotReady(Json(body), "not-ready".to_owned(), ASK_AGAIN)
    }
}

fn disk(app: &App) -> &'static str {
    match disk::free_bytes(&app.config().data) {
        Ok(Some(free)) if free < app.config().min_free_bytes => "too little free space",
        Ok(_) => OK,
        Err(error) => {
            warn!("cannot ask for the free space: {error}");
            "the data folder cannot be read"
        }
    }
}

fn queue(app: &App) -> &'static str {
    match app.store().uploads_in_work() {
        Ok(waiting) if waiting >= app.config().max_queue => "full",
        Ok(_) => OK,
        Err(error) => {
            warn!(code = error.code(), "cannot count the queue: {error}");
            "the database does not answer"
        }
    }
}
