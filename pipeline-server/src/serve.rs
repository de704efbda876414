//! From a listener to a running server, and back again in good order.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use poem::Server;
use poem::http::uri::Scheme;
use poem::listener::{Acceptor, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::{App, Error, Result};

/// How long requests in progress may go on after the order to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(75);
/// The pause after the system refused to accept a connection, which it does when there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Takes an address. Port 0 takes a free one; [`TcpListener::local_addr`] tells which.
///
/// # Errors
/// [`Error::Bind`] if it is taken.
pub fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|source| Error::Bind { address, source })
}

/// Serves `app` until `shutdown`, then finishes the requests in progress and stops the app's workers.
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
    let acceptor = Patient(acceptor(listener).map_err(system("use the listening socket"))?);
    info!(%address, "ready on http://{address}, documentation on http://{address}/docs");
    let shutdown = async {
        shutdown.await;
        info!("stopping");
    };
    Server::new_with_acceptor(acceptor)
        .idle_timeout(IDLE)
        .run_with_graceful_shutdown(app.endpoint(), shutdown, Some(DRAIN))
        .await
        .map_err(system("serve requests"))?;
    let stopped = spawn_blocking(move || app.stop()).await;
    if let Err(error) = stopped {
        warn!("the workers did not stop cleanly: {error}");
    }
    info!("stopped");
    Ok(())
}

fn acceptor(listener: TcpListener) -> io::Result<TcpAcceptor> {
    listener.set_nonblocking(true)?;
    TcpAcceptor::from_std(listener)
}

/// Waits a little after a failed accept, where poem would try again at once and keep a core busy.
struct Patient(TcpAcceptor);

impl Acceptor for Patient {
    type Io = TcpStream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.0.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(TcpStream, LocalAddr, RemoteAddr, Scheme)> {
        match self.0.accept().await {
            Ok(accepted) => {
                // Small answers go out at once, instead of waiting for the client's acknowledgement.
                accepted.0.set_nodelay(true).ok();
                Ok(accepted)
            }
            Err(error) => {
                warn!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                Err(error)
            }
        }
    }
}
