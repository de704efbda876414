//! The binary: reads the command line, then starts the application and serves it until a signal, or calls the doctor.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use pipeline_server::{App, Args, Command, Config, Error, Result};

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.command {
        Some(Command::Doctor(doctor)) => {
            pipeline_server::run_doctor(doctor, &mut io::stdout().lock())
        }
        None => serve(args).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
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
