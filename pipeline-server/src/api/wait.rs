//! `?wait=`: an answer that waits for the end of the work on a picture.

use std::time::Duration;

use pipeline_store::{ImageId, ImageState};
use tokio::time::timeout;

use super::ApiError;
use crate::App;
use crate::events::News;

/// The longest wait. Proxies give up on answers that take longer.
const LONGEST: Duration = Duration::from_secs(60);

/// Returns when nobody works on the picture, or when the time is over; at once without a time, and when the server stops.
///
/// # Errors
/// [`ApiError::BadWait`]; [`ApiError::TooManyStreams`] if there is work to wait for and no place to wait in.
pub(super) async fn for_the_end(
    app: &App,
    id: ImageId,
    wait: Option<&str>,
) -> Result<(), ApiError> {
    let Some(limit) = parse(wait.unwrap_or_default())? else {
        return Ok(());
    };
    timeout(limit, ended(app, id)).await.unwrap_or(Ok(()))
}

async fn ended(app: &App, id: ImageId) -> Result<(), ApiError> {
    // From before the first look, so that no end falls in between.
    let mut follower = app.events().follow(None, Some(id));
    if !is_in_work(app, id).await? {
        return Ok(());
    }
    // Whoever waits keeps a connection from others, as whoever follows the events does.
    let _place = app.events().place().ok_or(ApiError::TooManyStreams)?;
    loop {
        match follower.next().await {
            None => return Ok(()),
            Some(News::Events(events)) if !events.iter().any(|event| event.what.is_end()) => {}
            Some(News::Events(_) | News::Missed) => {
                if !is_in_work(app, id).await? {
                    return Ok(());
                }
            }
        }
    }
}

/// Whether the work on a picture goes on, or is still to begin.
pub(super) async fn is_in_work(app: &App, id: ImageId) -> Result<bool, ApiError> {
    let image = app.blocking(move |app| Ok(app.store().image(id)?)).await?;
    Ok(image.is_some_and(|image| image.state == ImageState::Processing))
}

fn parse(text: &str) -> Result<Option<Duration>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, Duration::from_millis(1)),
        None => (
            text.strip_suffix('s').unwrap_or(text),
            Duration::from_secs(1),
        ),
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        return Err(ApiError::BadWait {
            input: text.to_owned(),
        });
    }
    // More digits than fit into a number are more than the longest wait.
    let count = number.parse().unwrap_or(u32::MAX);
    Ok(Some(unit.saturating_mul(count).min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_milliseconds_and_bounded() {
        for (text, milliseconds) in [
            ("10s", 10_000),
            ("500ms", 500),
            ("7", 7_000),
            ("0", 0),
            ("61s", 60_000),
            ("99999999999999999999", 60_000),
        ] {
            let expected = Duration::from_millis(milliseconds);
            assert_eq!(parse(text), Ok(Some(expected)), "{text}");
        }
        assert_eq!(parse(""), Ok(None));
        for text in ["s", "ms", "10 s", "-1", "+1", "1.5s", "1m", "10ss", "ten"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
