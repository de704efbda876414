//! The REST interface inside a poem app of your own, beside your own routes, with a captioner of your choice:
//! `cargo run --release --example embed_server`, then open <http://127.0.0.1:3000/pictures/docs>

use pipeline_core::{Blip, CaptionStage};
use pipeline_server::{App, Config};
use poem::listener::TcpListener;
use poem::{Route, Server, get, handler};

#[handler]
fn about() -> &'static str {
    "my own page"
}

/// Your own routes and those of the interface. A test asks both, so it needs them without `main`.
pub(crate) fn routes(app: &App) -> Route {
    Route::new()
        .at("/about", get(about))
        .nest("/pictures", app.endpoint())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let config = Config::new(folder.path());
    // `start_with` opens the store and `tiny` loads the model, which takes a moment, so it comes before the async runtime.
    let app = App::start_with(config, Some(CaptionStage::new(Blip::tiny()?)))?;
    let routes = routes(&app);

    tokio::runtime::Runtime::new()?.block_on(async {
        let shutdown = async {
            tokio::signal::ctrl_c().await.ok();
        };
        Server::new(TcpListener::bind("127.0.0.1:3000"))
            .run_with_graceful_shutdown(routes, shutdown, None)
            .await
    })?;
    app.stop();
    Ok(())
}
