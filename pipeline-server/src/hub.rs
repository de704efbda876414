//! Fetches a BLIP checkpoint from the Hugging Face hub, once, into the usual Hugging Face cache.
//!
//! `HF_HOME` and `HF_ENDPOINT` are read as every Hugging Face tool reads them. What is in the cache is used without a
//! single request, so a server that has its model starts with no network.

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, CacheRepo};
use serde_json::Value;
use tracing::info;

use crate::{Error, Result};

const CONFIG: &str = "config.json";
const SMALL_FILES: [&str; 3] = [CONFIG, "preprocessor_config.json", "tokenizer.json"];
/// In the order of preference; a checkpoint needs one of them.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// How often a broken download is taken up again where it stopped.
const RETRIES: usize = 3;

/// The folder with the files of the model `id`, fetched if they are not in the cache yet.
///
/// # Errors
/// [`Error::Hub`].
pub(crate) fn fetch(id: &str) -> Result<PathBuf> {
    if let Some(folder) = cached(id) {
        return Ok(folder);
    }
    let api = ApiBuilder::from_env()
        .with_retries(RETRIES)
        .build()
        .map_err(|error| failure(id, CONFIG, &error))?;
    let repo = api.model(id.to_owned());
    for file in SMALL_FILES {
        get(&repo, id, file)?;
    }
    info!(
        model = id,
        "fetching the weights of {id}; this happens once"
    );
    let weights = match repo.get(WEIGHTS[0]) {
        Err(error) if status(&error) == Some(404) => get(&repo, id, WEIGHTS[1])?,
        fetched => fetched.map_err(|error| failure(id, WEIGHTS[0], &error))?,
    };
    Ok(parent(weights))
}

/// The folder of the model `id`, if all of its files are in the cache.
pub(crate) fn cached(id: &str) -> Option<PathBuf> {
    complete(&Cache::from_env().model(id.to_owned()))
}

/// The BLIP models of which anything is in the cache, by id, with the folders of those that are complete.
pub(crate) fn list() -> Vec<(String, Option<PathBuf>)> {
    let cache = Cache::from_env();
    let entries = fs::read_dir(cache.path()).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let ids = names.filter_map(|name| Some(name.strip_prefix("models--")?.replacen("--", "/", 1)));
    let blip = |id: &String| {
        let config = cache.model(id.clone()).get(CONFIG)?;
        let config: Value = serde_json::from_slice(&fs::read(config).ok()?).ok()?;
        Some(config["model_type"] == "blip")
    };
    let mut ids: Vec<String> = ids.filter(|id| blip(id) == Some(true)).collect();
    ids.sort();
    let with_folder = |id: String| {
        let folder = complete(&cache.model(id.clone()));
        (id, folder)
    };
    ids.into_iter().map(with_folder).collect()
}

/// Those files of a model that its folder has.
pub(crate) fn files(folder: &Path) -> Vec<&'static str> {
    let names = SMALL_FILES.into_iter().chain(WEIGHTS);
    names.filter(|name| folder.join(name).is_file()).collect()
}

/// The folder of a model whose files are all in the cache.
fn complete(cached: &CacheRepo) -> Option<PathBuf> {
    SMALL_FILES
        .iter()
        .all(|file| cached.get(file).is_some())
        .then(|| WEIGHTS.iter().find_map(|file| cached.get(file)))
        .flatten()
        .map(parent)
}

fn parent(file: PathBuf) -> PathBuf {
    let mut folder = file;
    folder.pop();
    folder
}

fn get(repo: &ApiRepo, id: &str, file: &'static str) -> Result<PathBuf> {
    repo.get(file).map_err(|error| failure(id, file, &error))
}

/// The HTTP status that the hub answered with, if it answered.
fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => match **error {
            ureq::Error::StatusCode(status) => Some(status),
            _ => None,
        },
        _ => None,
    }
}

fn failure(id: &str, file: &'static str, error: &ApiError) -> Error {
    let advice = match status(error) {
        Some(404) => "check the id at --model, and that the repository holds a BLIP checkpoint",
        // The hub answers 401 for a repository that does not exist, too.
        Some(401 | 403) => {
            "check the id at --model, or log in with the Hugging Face tools if the model is not public"
        }
        _ => "check the network, or use a folder with the model's files, or --model tiny",
    };
    Error::Hub {
        model: id.to_owned(),
        file,
        reason: error.to_string().replace('\n', " "),
        advice,
    }
}
