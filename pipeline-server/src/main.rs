//! The binary: reads the command line, starts the application, serves it until a signal.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use pipeline_server::{App, Args, Config, Error, Result};

fn main() -> ExitCode {
    match serve(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done about a closed standard error.
            writeln!(io::stderr(), "error: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn serve(args: Args) -> Result<()> {
    pipeline_server::start_logging(args.log_format, &args.log)?;
    let config = Config::try_from(args)?;
    let address = config.listen;
    let app = App::start(config)?;
    let listener = pipeline_server::bind(address)?;
    let system = |doing| move |source| Error::System { doing, source };
    let runtime = tokio::runtime::Runtime::new().map_err(system("start the async runtime"))?;
    runtime.block_on(async {
        let shutdown = pipeline_server::shutdown_signal().map_err(system("listen for signals"))?;
        pipeline_server::run(listener, app, shutdown).await
    })
}
