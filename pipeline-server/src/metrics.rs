//! What the server counts and measures, in the text form of Prometheus.
//!
//! Every [`App`](crate::App) has a recorder of its own, so that several in one process do not mix. All labels come from
//! short lists: routes with their variable parts left open, statuses, stable codes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics::{histogram, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use poem::http::{Method, StatusCode};

/// Upper bounds of the classes of durations, in seconds: from an answer out of memory to a caption by a large model.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
];
/// Durations are kept one by one until they are put into their classes, which happens after this many at the latest.
const UPKEEP_AFTER: u32 = 1_000;

const STAGE: &str = "pipeline_stage_duration_seconds";
const PICTURES: &str = "pipeline_pictures_total";
const UPLOADS: &str = "pipeline_uploads_total";
const QUEUE: &str = "pipeline_queue_length";
const OLDEST: &str = "pipeline_queue_oldest_age_seconds";
const WEBHOOKS: &str = "pipeline_webhooks_total";
const WEBHOOKS_WAITING: &str = "pipeline_webhooks_waiting";
const RECEIVING: &str = "pipeline_receiving_uploads";
const RECEIVING_BYTES: &str = "pipeline_receiving_bytes";
const REQUEST: &str = "pipeline_http_request_duration_seconds";
const CONNECTIONS: &str = "pipeline_http_connections";
const BUILD: &str = "pipeline_build_info";
const MODEL: &str = "pipeline_model_info";

/// What is true at the moment of a look at the metrics.
#[derive(Debug)]
pub(crate) struct Now {
    pub(crate) queue: u64,
    pub(crate) webhooks: u64,
    pub(crate) oldest: Duration,
    pub(crate) receiving: u64,
    pub(crate) receiving_bytes: u64,
}

/// The metrics of one application.
#[derive(Debug)]
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    since_upkeep: AtomicU32,
}

impl Metrics {
    /// `model` is the id of the captioning model, if there is one.
    pub(crate) fn new(model: Option<&str>) -> Self {
        let builder = PrometheusBuilder::new().set_buckets(SECONDS);
        let recorder = builder
            .expect("the list of classes is not empty")
            .build_recorder();
        let metrics = Self {
            handle: recorder.handle(),
            recorder,
            since_upkeep: AtomicU32::new(0),
        };
        metrics.record(|| {
            describe();
            gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
            let model = model.unwrap_or("none").to_owned();
            gauge!(MODEL, "model" => model).set(1.0);
            gauge!(CONNECTIONS).set(0.0);
        });
        metrics
    }

    /// A stage has worked on one picture, with or without success.
    pub(crate) fn stage(&self, name: &'static str, took: Duration) {
        self.measure(|| histogram!(STAGE, "stage" => name).record(took));
    }

    /// The work on a picture has ended: `success`, or the code of its failure. How long it took is not known where its
    /// worker is gone.
    pub(crate) fn picture(&self, outcome: &'static str, took: Option<Duration>) {
        self.record(|| counter!(PICTURES, "outcome" => outcome).increment(1));
        if let Some(took) = took {
            self.stage("whole", took);
        }
    }

    /// An upload has ended: `accepted`, or the code of its refusal.
    pub(crate) fn upload(&self, outcome: &'static str) {
        self.record(|| counter!(UPLOADS, "outcome" => outcome).increment(1));
    }

    /// Attempts to tell a webhook something have ended: `delivered`, `failed` if there will be another, or `given-up`.
    pub(crate) fn webhooks(&self, outcome: &'static str, count: u64) {
        self.record(|| counter!(WEBHOOKS, "outcome" => outcome).increment(count));
    }

    /// A request was answered.
    pub(crate) fn request(
        &self,
        method: &Method,
        route: &'static str,
        status: StatusCode,
        took: Duration,
    ) {
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::DELETE => "DELETE",
            Method::PATCH => "PATCH",
            Method::OPTIONS => "OPTIONS",
            // Clients may make up any number of methods.
            _ => "other",
        };
        let status = status.as_str().to_owned();
        self.measure(|| {
            histogram!(REQUEST, "method" => method, "route" => route, "status" => status)
                .record(took);
        });
    }

    /// Counts a connection for as long as the result lives.
    pub(crate) fn connection(&self) -> impl Drop + use<> {
        let connections = with_local_recorder(&self.recorder, || gauge!(CONNECTIONS));
        connections.increment(1.0);
        Counted(connections)
    }

    /// Everything, in the text form of Prometheus.
    pub(crate) fn render(&self, now: &Now) -> String {
        // Counts stay far below 2^52, where f64 is exact.
        self.record(|| {
            gauge!(QUEUE).set(now.queue as f64);
            gauge!(WEBHOOKS_WAITING).set(now.webhooks as f64);
            gauge!(OLDEST).set(now.oldest.as_secs_f64());
            gauge!(RECEIVING).set(now.receiving as f64);
            gauge!(RECEIVING_BYTES).set(now.receiving_bytes as f64);
        });
        self.handle.render()
    }

    fn record(&self, work: impl FnOnce()) {
        with_local_recorder(&self.recorder, work);
    }

    fn measure(&self, work: impl FnOnce()) {
        self.record(work);
        // Nobody may ever come to look at the metrics, and memory has to stay bounded all the same.
        if self.since_upkeep.fetch_add(1, Ordering::Relaxed) % UPKEEP_AFTER == UPKEEP_AFTER - 1 {
            self.handle.run_upkeep();
        }
    }
}

struct Counted(metrics::Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

fn describe() {
    let seconds = Unit::Seconds;
    describe_histogram!(
        STAGE,
        seconds,
        "Time that a stage works on one picture; whole is all of the work on it"
    );
    describe_counter!(
        PICTURES,
        "Pictures whose work has ended, by success or the code of their failure"
    );
    describe_counter!(
        UPLOADS,
        "Uploads, by acceptance or the code of their refusal"
    );
    describe_gauge!(QUEUE, "Pictures waiting or in work");
    describe_gauge!(
        OLDEST,
        seconds,
        "Time since the upload of the oldest picture that waits or is in work"
    );
    describe_counter!(
        WEBHOOKS,
        "Messages to webhooks, by delivery, an attempt that failed, or the end of attempts"
    );
    describe_gauge!(
        WEBHOOKS_WAITING,
        "Messages to webhooks that are not delivered yet"
    );
    describe_gauge!(RECEIVING, "Uploads that are being received");
    describe_gauge!(
        RECEIVING_BYTES,
        Unit::Bytes,
        "Bytes of pictures that are being received"
    );
    describe_histogram!(
        REQUEST,
        seconds,
        "Time from the head of a request to its answer"
    );
    describe_gauge!(CONNECTIONS, "Open connections");
    describe_gauge!(BUILD, "The version of the server");
    describe_gauge!(MODEL, "The captioning model");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_shown_in_classes() {
        let metrics = Metrics::new(Some("tiny"));
        // More than are kept one by one.
        for _ in 0..UPKEEP_AFTER + 1 {
            metrics.stage("caption", Duration::from_millis(90));
        }
        let route = "/api/images/{image_id}";
        let made_up = Method::from_bytes(b"BREW").unwrap();
        metrics.request(&made_up, route, StatusCode::NOT_FOUND, Duration::ZERO);
        let open = metrics.connection();
        let now = Now {
            queue: 3,
            webhooks: 2,
            oldest: Duration::from_millis(1_500),
            receiving: 1,
            receiving_bytes: 1_000,
        };
        let text = metrics.render(&now);
        for line in [
            "pipeline_stage_duration_seconds_bucket{stage=\"caption\",le=\"0.05\"} 0",
            "pipeline_stage_duration_seconds_bucket{stage=\"caption\",le=\"0.1\"} 1001",
            "pipeline_http_request_duration_seconds_count{method=\"other\",route=\"/api/images/{image_id}\",status=\"404\"} 1",
            "pipeline_queue_length 3",
            "pipeline_webhooks_waiting 2",
            "pipeline_queue_oldest_age_seconds 1.5",
            "pipeline_receiving_bytes 1000",
            "pipeline_http_connections 1",
            "pipeline_model_info{model=\"tiny\"} 1",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in {text}");
        }
        drop(open);
        assert!(metrics.render(&now).contains("pipeline_http_connections 0"));
    }
}
