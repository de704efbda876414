//! From a listener to a running server, and back again in good order.

mod connection;
mod guarded;
mod open_files;
mod received;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::{App, Error, Result};
use connection::{Connection, Service};

/// How long requests in progress may go on after the order to stop. With what the workers have, and what the runtime has
/// after that, it is less than the 20 seconds that a stop may take.
const DRAIN: Duration = Duration::from_secs(8);
/// How long the workers may take to stop: a little more than they give each other, for what they write down at the end.
const WORKERS: Duration = Duration::from_secs(11);
/// The pause after the system refused to accept a connection, which it does when there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Takes an address. Port 0 takes a free one; [`TcpListener::local_addr`] tells which.
///
/// ```
/// let listener = pipeline_server::bind(([127, 0, 0, 1], 0).into())?;
/// let address = listener.local_addr().expect("it listens");
/// assert_ne!(address.port(), 0);
/// assert_eq!(pipeline_server::bind(address).unwrap_err().code(), "cannot-listen");
/// # Ok::<(), pipeline_server::Error>(())
/// ```
///
/// # Errors
/// [`Error::Bind`] if it is taken.
pub fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|source| Error::Bind { address, source })
}

/// Serves `app` until `shutdown`, then finishes the requests in progress and stops the app's workers.
///
/// ```
/// use pipeline_server::{App, Config};
///
/// # let folder = tempfile::tempdir()?;
/// let app = App::start_with(Config::new(folder.path()), None)?;
/// let listener = pipeline_server::bind(([127, 0, 0, 1], 0).into())?;
/// tokio::runtime::Runtime::new()?.block_on(async {
///     let shutdown = async {}; // at once; `pipeline_server::shutdown_signal()?` waits for a signal
///     pipeline_server::run(listener, app, shutdown).await
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::System`] if the listener cannot be used.
pub async fn run(
    listener: TcpListener,
    app: App,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let system = |doing| move |source| Error::System { doing, source };
    let address = listener
        .local_addr()
        .map_err(system("read the listening address"))?;
    let limits = &app.config().clients;
    let gate = Gate::new(listener, limits.max_connections.get())
        .map_err(system("use the listening socket"))?;
    let service = Arc::new(Service::new(app.endpoint(), limits));
    info!(%address, "ready on http://{address}, documentation on http://{address}/docs");
    serve(&app, gate, service, shutdown).await;
    stop(app).await?;
    info!("stopped");
    Ok(())
}

/// Stops the workers. In a thread of its own: those of the runtime may all wait for a disk that hangs.
async fn stop(app: App) -> Result<()> {
    let (done, stopped) = oneshot::channel();
    let stop = move || {
        app.stop();
        // If it was the last, the folder is free for others when the answer comes.
        drop(app);
        // Whoever has given up waiting needs no answer.
        done.send(()).ok();
    };
    thread::Builder::new()
        .name("stop".to_owned())
        .spawn(stop)
        .map_err(|source| Error::System {
            doing: "start the thread that stops the workers",
            source,
        })?;
    match timeout(WORKERS, stopped).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => warn!("the workers did not stop cleanly"),
        // What they had in hand is handed back by the next start.
        Err(_) => warn!("leaving workers behind that do not stop"),
    }
    Ok(())
}

async fn serve<E: poem::Endpoint + 'static>(
    app: &App,
    gate: Gate,
    service: Arc<Service<E>>,
    shutdown: impl Future<Output = ()>,
) {
    let (stop, stopping) = watch::channel(());
    let mut open = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            connection = gate.accept() => {
                let (service, stopping) = (Arc::clone(&service), stopping.clone());
                let counted = app.metrics().connection();
                open.spawn(async move {
                    service.serve(connection, stopping).await;
                    drop(counted);
                });
            }
            // Those that have ended are taken out of the set.
            Some(_) = open.join_next() => {}
        }
    }
    info!("stopping");
    drop(gate);
    // Whoever waits for events has waited for long enough.
    app.events().close();
    stop.send(()).ok();
    let all_ended = async { while open.join_next().await.is_some() {} };
    if timeout(DRAIN, all_ended).await.is_err() {
        let left = open.len();
        warn!(left, "breaking off {left} connections that did not end");
        open.shutdown().await;
    }
}

/// The listener, and the places for those who come in. Without a free place nobody is let in: connections wait in the
/// listener's queue, which the system keeps.
struct Gate {
    listener: tokio::net::TcpListener,
    places: Arc<Semaphore>,
}

impl Gate {
    fn new(listener: TcpListener, connections: usize) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let room = open_files::make_room(connections);
        Ok(Self {
            listener: tokio::net::TcpListener::from_std(listener)?,
            places: Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS))),
        })
    }

    async fn accept(&self) -> Connection {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.expect("the places are never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // Small answers go out at once, instead of waiting for the client's acknowledgement.
                    stream.set_nodelay(true).ok();
                    return Connection {
                        stream,
                        peer,
                        place,
                    };
                }
                Err(error) => {
                    warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}
