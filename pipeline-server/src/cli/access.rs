//! The flags that say who may use the server.

use std::convert::Infallible;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// Who may use the server.
#[cfg_attr(
    doc,
    doc = r#"

```
use clap::Parser;
use pipeline_server::{Args, Config, Role};

let key = "read:correct-horse-battery-staple";
let args = Args::parse_from(["my-server", "--api-key", key, "--rate-limit", "600"]);
assert_eq!(args.access.api_key[0].reveal(), key);
assert_eq!(Config::try_from(args)?.access.keys[0].role(), Role::Read);
# Ok::<(), pipeline_server::Error>(())
```
"#
)]
#[derive(Debug, Clone, Args)]
pub struct AccessArgs {
    /// A key that requests have to carry, as `read:KEY` or `write:KEY`. May be given several times, or as a list with
    /// commas. Other users of this machine can see flags, so prefer the variable or the file.
    #[arg(
        long,
        env = "PIPELINE_API_KEY",
        hide_env_values = true,
        value_name = "ROLE:KEY",
        value_delimiter = ','
    )]
    pub api_key: Vec<Secret>,

    /// A file with such keys, one on each line.
    #[arg(long, env = "PIPELINE_API_KEYS_FILE", value_name = "FILE")]
    pub api_keys_file: Option<PathBuf>,

    /// Requests a minute of one client, told by its key or else its address; more get status 429. No limit unless set.
    #[arg(long, env = "PIPELINE_RATE_LIMIT", value_name = "REQUESTS")]
    pub rate_limit: Option<NonZeroU32>,

    /// Origin whose web pages may use the server, such as `https://photos.example`, or `*` for all. May be given several
    /// times, or as a list with commas. None unless set.
    #[arg(
        long,
        env = "PIPELINE_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub cors_origin: Vec<String>,
}

/// Text that is never shown. Whether it is a key at all is checked later, where the answer does not repeat it.
///
/// ```
/// let secret: pipeline_server::Secret = "read:correct-horse-battery-staple".parse()?;
/// assert_eq!(format!("{secret:?}"), "Secret"); // no log will have it
/// assert_eq!(secret.reveal(), "read:correct-horse-battery-staple");
/// # Ok::<(), std::convert::Infallible>(())
/// ```
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
