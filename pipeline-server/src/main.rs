//! The binary: reads the command line and does what it says; to serve, if it says nothing else.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod arenas;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use pipeline_server::{App, Args, Command, CommandLine, Config, Ending, Error, Result};

/// Of a run that was interrupted, as shells have it for SIGINT.
const INTERRUPTED: u8 = 130;

/// How long the runtime's threads may take to end after everything else has.
const LAST_WAIT: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    arenas::share();
    let line = CommandLine::parse();
    let out = &mut io::stdout().lock();
    let succeeded = |()| ExitCode::SUCCESS;
    let sound = |sound| match sound {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    };
    let done = match line.command {
        None => serve(line.serve).map(succeeded),
        Some(Command::Serve(args)) => serve(*args).map(succeeded),
        Some(Command::Process(args)) => pipeline_server::run_process(&args, out).map(ended),
        Some(Command::Models(models)) => pipeline_server::run_models(&models, out).map(sound),
        Some(Command::Doctor(doctor)) => pipeline_server::run_doctor(&doctor, out).map(sound),
        Some(Command::Health(health)) => pipeline_server::run_health(&health, out).map(succeeded),
        Some(Command::Openapi) => pipeline_server::run_openapi(out).map(succeeded),
    };
    match done {
        Ok(code) => code,
        Err(Error::System { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {
            // Whoever read our output has had enough of it.
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Nothing can be done about a closed standard error.
            writeln!(io::stderr(), "error: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn ended(ending: Ending) -> ExitCode {
    match ending {
        Ending::Done => ExitCode::SUCCESS,
        Ending::SomeFailed => ExitCode::FAILURE,
        Ending::Interrupted => ExitCode::from(INTERRUPTED),
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
    let served = runtime.block_on(async {
        let shutdown = pipeline_server::shutdown_signal().map_err(system("listen for signals"))?;
        pipeline_server::run(listener, app, shutdown).await
    });
    // A thread that waits for a disk which hangs would be waited for without end. It ends with the process.
    runtime.shutdown_timeout(LAST_WAIT);
    served
}
