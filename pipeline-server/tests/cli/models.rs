//! `pipeline-server models`.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use tempfile::TempDir;

use crate::daemon::{command, fault};
use crate::hub::{Hub, MODEL, nowhere};

/// A cache of its own.
struct Cache(TempDir);

impl Cache {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn models(&self, endpoint: &str, args: &[&str]) -> Output {
        let mut command = command(&[&["models"], args].concat());
        command
            .env("HF_ENDPOINT", endpoint)
            .env("HF_HOME", self.0.path())
            .current_dir(self.0.path());
        command.output().unwrap()
    }

    /// What it says without a network, if all is well.
    #[track_caller]
    fn say(&self, args: &[&str]) -> String {
        let output = self.models(&nowhere(), args);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn a_model_is_fetched_listed_found_and_verified() {
    let cache = Cache::new();
    assert_eq!(cache.say(&["list"]), "tiny  in this binary\n");
    let line = fault(&cache.models(&nowhere(), &["path", MODEL]));
    assert!(line.contains(&format!("models fetch {MODEL}")), "{line}");

    let hub = Hub::start(&[]);
    let fetched = cache.models(&hub.endpoint, &["fetch", MODEL]);
    assert_eq!(fetched.status.code(), Some(0), "{fetched:?}");
    let folder = String::from_utf8(fetched.stdout).unwrap();
    assert_eq!(cache.say(&["path", MODEL]), folder);
    let folder = PathBuf::from(folder.trim_end());
    assert!(folder.join("model.safetensors").is_file());
    let list = cache.say(&["list"]);
    let line = list.lines().nth(1).unwrap();
    assert!(
        line.starts_with(MODEL) && line.ends_with(folder.to_str().unwrap()),
        "{list}"
    );

    let expected = format!(
        "tiny: it loads\n\
         {MODEL}: config.json: as on the hub (SHA-1 of git)\n\
         {MODEL}: preprocessor_config.json: as on the hub (SHA-1 of git)\n\
         {MODEL}: tokenizer.json: as on the hub (SHA-1 of git)\n\
         {MODEL}: model.safetensors: as on the hub (SHA-256)\n\
         {MODEL}: it loads\n"
    );
    assert_eq!(cache.say(&["verify"]), expected);
}

#[test]
fn damage_is_found() {
    let cache = Cache::new();
    let hub = Hub::start(&[]);
    let fetched = cache.models(&hub.endpoint, &["fetch", MODEL]);
    let folder = String::from_utf8(fetched.stdout).unwrap();
    let weights = PathBuf::from(folder.trim_end()).join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    // One bit of one weight: it still loads.
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let output = cache.models(&nowhere(), &["verify", MODEL]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let damaged = format!("{MODEL}: model.safetensors: damaged; delete ");
    assert!(
        text.contains(&damaged) && text.contains("it loads"),
        "{text}"
    );
}

#[test]
fn only_models_of_the_hub_are_fetched() {
    let cache = Cache::new();
    for args in [["fetch", "tiny"], ["path", "."]] {
        let line = fault(&cache.models(&nowhere(), &args));
        assert!(line.contains("is not on the hub"), "{line}");
    }
    let line = fault(&cache.models(&nowhere(), &["fetch", MODEL]));
    assert!(line.contains("check the network"), "{line}");
}
