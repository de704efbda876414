//! The state of the service: alive, ready, and how much it has done.

use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

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
        Health::ok()
    }

    /// Can requests be answered
    ///
    /// Reads from the database.
    #[oai(path = "/readyz", method = "get", operation_id = "is_ready")]
    async fn ready(&self) -> Result<Json<Health>, Refused<Nothing>> {
        self.app
            .blocking(|app| Ok(app.store().queue_len()?))
            .await?;
        Ok(Health::ok())
    }
}

/// A sign of life.
#[derive(Debug, Object)]
struct Message {
    message: String,
}

/// Always `ok`; the status code says the rest.
#[derive(Debug, Object)]
struct Health {
    status: String,
}

impl Health {
    fn ok() -> Json<Self> {
        Json(Self {
            status: "ok".to_owned(),
        })
    }
}

#[derive(Debug)]
struct Nothing;

impl Refusals for Nothing {
    const ALL: &'static [ApiError] = &[];
}
