//! The application: the store, the workers, and the endpoint that hands both to the world.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pipeline_core::CaptionStage;
use pipeline_store::{CaptionerId, Store, StoreConfig};
use poem::Endpoint;
use tokio::task::spawn_blocking;
use tracing::Span;

use crate::admission::Admission;
use crate::api::{self, ApiError};
use crate::door::Door;
use crate::events::Events;
use crate::hooks::{self, Hooks};
use crate::metrics::{Metrics, Now};
use crate::probe::Probe;
use crate::runner::{Runner, Settings};
use crate::{Config, Error, Result, model, pictures};

/// A running application. Clones share it; it stops when the last clone, endpoints included, is dropped.
///
/// ```
/// use pipeline_server::{App, Config};
/// use poem::http::StatusCode;
/// use poem::{Endpoint, Request};
///
/// # let folder = tempfile::tempdir()?;
/// let app = App::start_with(Config::new(folder.path()), None)?; // `start` loads the model
/// let endpoint = app.endpoint();
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let request = Request::builder().uri_str("/api/stats").finish();
/// let answer = endpoint.get_response(request).await;
/// assert_eq!(answer.status(), StatusCode::OK);
/// # });
/// app.stop();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct App {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    // Before the store: the workers end, and let go of the store, before it closes.
    runner: Runner,
    hooks: Hooks,
    store: Store,
    admission: Admission,
    probe: Probe,
    door: Door,
    has_captions: bool,
    metrics: Arc<Metrics>,
    events: Arc<Events>,
}

impl App {
    /// Opens the data folder, loads the model, and starts the workers. Pictures left over from the last run go first.
    ///
    /// ```
    /// use pipeline_server::{App, Config, ModelChoice};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let mut config = Config::new(folder.path());
    /// config.model = ModelChoice::None; // the default is the model that is built in
    /// let app = App::start(config)?;
    /// assert_eq!(app.config().max_queue, 10_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Blocking
    /// Reads the model, and fetches it if it is one of the hub's. Call it outside of the async runtime.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Model`], [`Error::Hub`], [`Error::Webhook`], [`Error::System`].
    pub fn start(config: Config) -> Result<Self> {
        let storage = storage(&config);
        let store = open(&config, &storage)?;
        let captions = model::load(&config.model, config.precision)?;
        Self::assemble(config, store, storage, captions)
    }

    /// Like [`App::start`], with a captioner of your own, or none, in place of [`Config::model`].
    ///
    /// ```
    /// use pipeline_core::image::RgbImage;
    /// use pipeline_core::{Caption, CaptionStage, Captioner, Cx};
    /// use pipeline_server::{App, Config};
    ///
    /// struct MyModel;
    ///
    /// impl Captioner for MyModel {
    ///     fn model(&self) -> &str {
    ///         "my-model-2"
    ///     }
    ///
    ///     fn caption(&self, picture: &RgbImage, _: &Cx) -> pipeline_core::Result<Caption> {
    ///         Ok(Caption::new(format!("{} pixels wide", picture.width()), self.model()))
    ///     }
    /// }
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let app = App::start_with(Config::new(folder.path()), Some(CaptionStage::new(MyModel)))?;
    /// # app.stop();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Webhook`], [`Error::System`].
    pub fn start_with(config: Config, captions: Option<CaptionStage>) -> Result<Self> {
        let storage = storage(&config);
        let store = open(&config, &storage)?;
        Self::assemble(config, store, storage, captions)
    }

    fn assemble(
        config: Config,
        store: Store,
        storage: StoreConfig,
        captions: Option<CaptionStage>,
    ) -> Result<Self> {
        let has_captions = captions.is_some();
        let model = captions.as_ref().map(CaptionStage::model);
        let captioner = captions.as_ref().and_then(CaptionerId::of);
        let metrics = Arc::new(Metrics::new(model));
        // Half of the connections stay free for requests that end.
        let streams = (config.clients.max_connections.get() / 2).max(1);
        let events = Arc::new(Events::new(streams));
        let counted = Arc::clone(&metrics);
        let pipeline = pictures::pipeline(&config, captions, move |stage, took| {
            counted.stage(stage, took);
        });
        let settings = Settings {
            workers: config.workers.get(),
            has_captions,
            optional_captions: config.optional_captions,
            captioner,
            deadline: config.picture_timeout,
            lease: storage.lease,
            clock: storage.clock.clone(),
        };
        let hooks = Hooks::start(&config, &store, &storage.clock, &metrics, &events)?;
        let (measured, told) = (Arc::clone(&metrics), Arc::clone(&events));
        let runner = Runner::start(store.clone(), pipeline, settings, measured, told)?;
        let admission = Admission::new(config.max_queue, config.clients.max_receiving_bytes);
        Ok(Self {
            inner: Arc::new(Inner {
                door: Door::new(&config),
                config,
                runner,
                hooks,
                store,
                admission,
                probe: Probe::default(),
                has_captions,
                metrics,
                events,
            }),
        })
    }

    /// The REST interface, to be served by [`run`](crate::run) or mounted in a poem application of your own.
    ///
    /// ```
    /// use pipeline_server::{App, Config};
    /// use poem::{Endpoint, Request, Route};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let app = App::start_with(Config::new(folder.path()), None)?;
    /// let routes = Route::new().nest("/pictures", app.endpoint());
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let request = Request::builder().uri_str("/pictures/api/stats").finish();
    /// assert!(routes.get_response(request).await.status().is_success());
    /// # });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn endpoint(&self) -> impl Endpoint + 'static {
        api::endpoint(self)
    }

    /// The OpenAPI document of this application, as it serves it at `/openapi.json`.
    ///
    /// ```
    /// use pipeline_server::{App, Config};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let app = App::start_with(Config::new(folder.path()), None)?;
    /// assert!(app.openapi().contains("/api/images")); // for a generator of clients
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn openapi(&self) -> String {
        api::document(self)
    }

    /// The settings.
    ///
    /// ```
    /// use pipeline_server::{App, Config};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let app = App::start_with(Config::new(folder.path()), None)?;
    /// assert_eq!(app.config().listen.port(), 8000); // for `bind`
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Blocks until no picture is waiting or in work.
    ///
    /// ```
    /// use pipeline_server::{App, Config};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let app = App::start_with(Config::new(folder.path()), None)?;
    /// app.wait_idle()?; // for a test that has uploaded something
    /// app.stop();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] if the queue cannot be read.
    pub fn wait_idle(&self) -> Result<()> {
        self.inner.runner.wait_idle().map_err(Error::Store)
    }

    /// Stops the workers. A picture in work is handed back to the queue, and what webhooks have still to be told stays in
    /// the store, for the next start.
    ///
    /// # Blocking
    /// Until the last worker has ended, which is as soon as its stage looks at its [`Cx`](pipeline_core::Cx), for 10
    /// seconds at the most.
    pub fn stop(&self) {
        self.inner.events.close();
        self.inner.hooks.interrupt();
        self.inner.runner.stop();
        self.inner.hooks.stop();
    }

    pub(crate) fn runner(&self) -> &Runner {
        &self.inner.runner
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.inner.admission
    }

    pub(crate) fn probe(&self) -> &Probe {
        &self.inner.probe
    }

    /// Whether there is a model that writes captions.
    pub(crate) fn has_captions(&self) -> bool {
        self.inner.has_captions
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    pub(crate) fn events(&self) -> &Arc<Events> {
        &self.inner.events
    }

    /// The metrics in the text form of Prometheus, with what is true now.
    pub(crate) fn rendered_metrics(&self) -> pipeline_store::Result<String> {
        let store = self.store();
        let oldest = store.oldest_unfinished()?;
        let age = oldest.map(|since| Timestamp::now().duration_since(since));
        let (receiving, receiving_bytes) = self.admission().receiving();
        Ok(self.metrics().render(&Now {
            queue: store.queue_len()?,
            webhooks: store.outbox_len()?,
            // A clock that was set back makes nothing younger than it is.
            oldest: age.and_then(|age| age.try_into().ok()).unwrap_or_default(),
            receiving,
            receiving_bytes,
        }))
    }

    pub(crate) fn door(&self) -> &Door {
        &self.inner.door
    }

    /// Runs `work` on a thread that may wait for the disk. What it logs belongs to the request that asked for it.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (app, span) = (self.clone(), Span::current());
        spawn_blocking(move || span.in_scope(|| work(&app)))
            .await
            .unwrap_or_else(|panicked| Err(ApiError::internal(&panicked)))
    }
}

/// The longest silence of a worker that is not taken for the end of it.
const LEASE: Duration = Duration::from_secs(60);

fn storage(config: &Config) -> StoreConfig {
    StoreConfig {
        lease: config.picture_timeout.min(LEASE),
        outbox: hooks::outbox(&config.webhooks),
        ..StoreConfig::default()
    }
}

fn open(config: &Config, storage: &StoreConfig) -> Result<Store> {
    config.webhooks.check()?;
    Store::open(&config.data, storage).map_err(Error::Store)
}
