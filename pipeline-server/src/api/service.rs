//! The state of the service: alive, ready, and how much it has done.

use poem::IntoResponse;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::ready::{Checks, Readiness};
use super::refused::{Refusals, Refused};
use super::types::StatsBody;
use super::{ApiError, Tag};
use crate::App;

#[derive(Debug, Clone)]
pub(super) struct Service {
    app: App,
}

impl Service {
    pub(super) fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }
}

#[OpenApi(tag = "Tag::Service")]
impl Service {
    /// Say hello
    #[oai(path = "/", method = "get", operation_id = "hello")]
    async fn hello(&self) -> Json<Message> {
        Json(Message {
            message: "API is working".to_owned(),
        })
    }

    /// Count pictures
    #[oai(path = "/api/stats", method = "get", operation_id = "read_stats")]
    async fn stats(&self) -> Result<Json<StatsBody>, Refused<Nothing>> {
        let stats = self.app.blocking(|app| Ok(app.store().stats()?)).await?;
        Ok(Json(stats.into()))
    }

    /// Is the process alive
    #[oai(path = "/livez", method = "get", operation_id = "is_alive")]
    async fn alive(&self) -> Json<Health> {
        Json(Health {
            status: "ok".to_owned(),
        })
    }

    /// Can pictures be uploaded
    ///
    /// Checks the model, the free space and the queue, tries to write to the disk and the database, and says what it found.
    #[oai(path = "/readyz", method = "get", operation_id = "is_ready")]
    async fn ready(&self) -> poem::Result<Readiness> {
        let tried = self.app.probe().look(self.app.store()).await;
        let checks = self
            .app
            .blocking(move |app| Ok(Checks::run(app, tried)))
            .await;
        let checks = checks.map_err(|e| poem::Error::from_response(e.into_response()))?;
        Ok(checks.verdict())
    }
}

/// A sign of life.
#[derive(Debug, Object)]
struct Message {
    message: String,
}

/// Always `ok`.
#[derive(Debug, Object)]
struct Health {
    status: String,
}

#[derive(Debug)]
struct Nothing;

impl Refusals for Nothing {
    const ALL: &'static [ApiError] = &[];
}
