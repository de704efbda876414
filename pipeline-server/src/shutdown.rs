//! When to stop: on SIGINT (Ctrl-C) or SIGTERM.

use std::io;

/// Starts to listen for the signals, so that none is lost between this call and the first poll of what it returns.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let shutdown = pipeline_server::shutdown_signal()?; // inside the async runtime
/// tokio::select! {
///     () = shutdown => println!("stopped by a signal"),
///     () = async {} => println!("the work is done"),
/// }
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// When the system does not let a handler be installed.
pub fn signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        // Without a handler there is nothing better than to run until the process is ended from outside.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
