//! The whole server, flags included, with a captioner of your own. `benches/load.py` measures it with this one, which
//! costs as much as a small model and says nothing:
//! `cargo run --release --example custom_server -- --listen 127.0.0.1:8000 --data ./data`

use clap::Parser;
use pipeline_core::image::RgbImage;
use pipeline_core::{Caption, CaptionStage, Captioner, Cx, Result};
use pipeline_server::{App, Args, Config};
use sha2::{Digest, Sha256};

/// Uses a processor core as a model would.
struct Busy;

/// Work between two looks at the clock and the order to stop, in bytes, and how often that is done.
const BLOCK: usize = 1 << 20;
const BLOCKS: usize = 100;

impl Captioner for Busy {
    fn model(&self) -> &str {
        "busy"
    }

    fn caption(&self, _picture: &RgbImage, cx: &Cx) -> Result<Caption> {
        let block = vec![0; BLOCK];
        let mut hash = Sha256::new();
        for _ in 0..BLOCKS {
            cx.check()?;
            hash.update(&block);
        }
        let text = format!("a picture of {:02x}", hash.finalize()[0]);
        Ok(Caption::new(text, self.model()))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    pipeline_server::start_logging(args.log_format, &args.log)?;
    let app = App::start_with(Config::try_from(args)?, Some(CaptionStage::new(Busy)))?;
    let listener = pipeline_server::bind(app.config().listen)?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let shutdown = pipeline_server::shutdown_signal()?;
        pipeline_server::run(listener, app, shutdown).await?;
        Ok(())
    })
}
