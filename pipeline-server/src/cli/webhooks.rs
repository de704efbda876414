//! The flags that say who is told when the work on a picture has ended.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

use super::Secret;

/// Who is told when the work on a picture has ended.
#[cfg_attr(
    doc,
    doc = r#"

```
use clap::Parser;
use pipeline_server::{Args, Config};

let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
let url = "https://hooks.example/pictures";
let args = Args::parse_from(["my-server", "--webhook", url, "--webhook-secret", secret]);
assert_eq!(args.webhooks.webhook[0].reveal(), url);
assert_eq!(Config::try_from(args)?.webhooks.secrets, [secret.parse()?]);
# Ok::<(), pipeline_server::Error>(())
```
"#
)]
#[derive(Debug, Clone, Args)]
pub struct WebhookArgs {
    /// Address that gets a POST when the work on a picture has ended. May be given several times, or as a list with
    /// commas. None unless set.
    #[arg(
        long,
        env = "PIPELINE_WEBHOOK",
        hide_env_values = true,
        value_name = "URL",
        value_delimiter = ','
    )]
    pub webhook: Vec<Secret>,

    /// What these messages are signed with: `whsec_` and 24 to 64 bytes in base64. With several, as a list with commas,
    /// each message has a signature of each. Other users of this machine can see flags, so prefer the variable or the
    /// file.
    #[arg(
        long,
        env = "PIPELINE_WEBHOOK_SECRET",
        hide_env_values = true,
        value_name = "SECRET",
        value_delimiter = ','
    )]
    pub webhook_secret: Vec<Secret>,

    /// A file with such secrets, one on each line.
    #[arg(long, env = "PIPELINE_WEBHOOK_SECRET_FILE", value_name = "FILE")]
    pub webhook_secret_file: Option<PathBuf>,

    /// Which ends are told, as a list with commas.
    #[arg(
        long,
        env = "PIPELINE_WEBHOOK_EVENTS",
        value_name = "ENDS",
        value_enum,
        value_delimiter = ',',
        default_value = "success,failed"
    )]
    pub webhook_events: Vec<WebhookEvent>,

    /// Allow webhooks at addresses that are not public, such as those of this machine and of its network, and without
    /// TLS.
    #[arg(long, env = "PIPELINE_WEBHOOK_ALLOW_PRIVATE", value_parser = BoolishValueParser::new())]
    pub webhook_allow_private: bool,

    /// Where receivers reach this server, such as `https://photos.example`: links in messages begin with it. Without it
    /// they are paths.
    #[arg(long, env = "PIPELINE_WEBHOOK_BASE_URL", value_name = "URL")]
    pub webhook_base_url: Option<String>,
}

/// How the work on a picture may end.
///
/// ```
/// use clap::Parser;
/// use pipeline_server::{Args, WebhookEvent};
///
/// let args = Args::parse_from(["my-server", "--webhook-events", "failed"]);
/// assert_eq!(args.webhooks.webhook_events, [WebhookEvent::Failed]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WebhookEvent {
    /// With a result.
    Success,
    /// Without one.
    Failed,
}
